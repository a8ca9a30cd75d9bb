using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Mesh.Sidecar.PubSub.Routing;

/// <summary>A call of a function, or of a method on its first argument.</summary>
internal sealed class CallNode : CelNode
{
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromMilliseconds(50);

    private static readonly Dictionary<string, (int Arguments, Func<object?[], object?> Call)> Functions = new(StringComparer.Ordinal)
    {
        ["size"] = (1, args => Size(args[0])),
        ["int"] = (1, args => ToInt(args[0])),
        ["uint"] = (1, args => ToInt(args[0]) is long whole and >= 0 ? whole : new CelError("uint() needs a number from 0 on")),
        ["double"] = (1, args => ToDouble(args[0])),
        ["string"] = (1, args => ToText(args[0])),
        ["bool"] = (1, args => args[0] is bool or "true" or "false" ? args[0] is true or "true" : new CelError("bool() needs true or false")),
        ["startsWith"] = (2, args => OnStrings(args, (text, part) => text.StartsWith(part, StringComparison.Ordinal))),
        ["endsWith"] = (2, args => OnStrings(args, (text, part) => text.EndsWith(part, StringComparison.Ordinal))),
        ["contains"] = (2, args => OnStrings(args, (text, part) => text.Contains(part, StringComparison.Ordinal))),
        ["matches"] = (2, args => Matches(args)),
    };

    private readonly CelNode[] _arguments;
    private readonly Func<object?[], object?> _call;

    public CallNode(string name, CelNode[] arguments, Func<string, CelException> fault)
    {
        if (!Functions.TryGetValue(name, out (int Arguments, Func<object?[], object?> Call) function))
        {
            throw fault($"there is no function '{name}' here; there are has, {string.Join(", ", Functions.Keys)}");
        }

        if (function.Arguments != arguments.Length) throw fault($"{name} takes {function.Arguments} operand(s), not {arguments.Length}");
        _arguments = arguments;
        _call = function.Call;
    }

    public override object? Evaluate(IReadOnlyDictionary<string, object?> variables)
    {
        object?[] values = [.. _arguments.Select(argument => argument.Evaluate(variables))];
        return Array.Find(values, value => value is CelError) ?? _call(values);
    }

    private static object Size(object? value) => value switch
    {
        string text => (long)text.EnumerateRunes().Count(),
        object?[] list => (long)list.Length,
        JsonElement { ValueKind: JsonValueKind.Array } list => (long)list.GetArrayLength(),
        JsonElement { ValueKind: JsonValueKind.Object } map => (long)map.EnumerateObject().Count(),
        _ => new CelError($"size() is not defined for {CelValue.TypeName(value)}"),
    };

    private static object ToInt(object? value) => value switch
    {
        long whole => whole,
        double real when Math.Abs(real) < 9.2e18 => (long)real,
        string text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long parsed) => parsed,
        _ => new CelError($"int() cannot convert {CelValue.TypeName(value)}"),
    };

    private static object ToDouble(object? value) => value switch
    {
        long whole => (double)whole,
        double real => real,
        string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double parsed) => parsed,
        _ => new CelError($"double() cannot convert {CelValue.TypeName(value)}"),
    };

    private static object ToText(object? value) => value switch
    {
        string text => text,
        bool flag => flag ? "true" : "false",
        long or double => Convert.ToString(value, CultureInfo.InvariantCulture)!,
        _ => new CelError($"string() cannot convert {CelValue.TypeName(value)}"),
    };

    private static object OnStrings(object?[] args, Func<string, string, bool> test) =>
        args is [string text, string part] ? test(text, part) : new CelError("a string method needs strings");

    private static object Matches(object?[] args)
    {
        if (args is not [string text, string pattern]) return new CelError("matches() needs strings");
        try
        {
            return Regex.IsMatch(text, pattern, RegexOptions.CultureInvariant, MatchTimeout);
        }
        catch (Exception exception) when (exception is ArgumentException or RegexMatchTimeoutException)
        {
            return new CelError($"matches(): {exception.Message}");
        }
    }
}
