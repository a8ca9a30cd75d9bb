using System.Globalization;
using System.Text.Json;

namespace Mesh.Sidecar.PubSub.Routing;

/// <summary>Values of expressions: null, bool, long, double, string, JSON objects and arrays, list literals.</summary>
internal static class CelValue
{
    /// <summary>A JSON scalar as its plain value. Numbers are doubles, as Dapr decodes them.</summary>
    public static object? Of(object? value) => value is not JsonElement json ? value : json.ValueKind switch
    {
        JsonValueKind.String => json.GetString(),
        JsonValueKind.Number => json.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null or JsonValueKind.Undefined => null,
        _ => json,
    };

    public static bool AreEqual(object? a, object? b) => (a, b) switch
    {
        (null, null) => true,
        (JsonElement x, JsonElement y) => JsonElement.DeepEquals(x, y),
        (JsonElement or object?[], _) or (_, JsonElement or object?[]) => Items(a) is { } x && Items(b) is { } y && x.Count == y.Count && x.Zip(y).All(pair => AreEqual(pair.First, pair.Second)),
        _ => Compare(a, b) is { } order ? order == 0 : Equals(a, b),
    };

    /// <summary>Null where the two have no order.</summary>
    public static int? Compare(object? a, object? b) => (a, b) switch
    {
        (long x, long y) => x.CompareTo(y),
        (long or double, long or double) => Convert.ToDouble(a, CultureInfo.InvariantCulture).CompareTo(Convert.ToDouble(b, CultureInfo.InvariantCulture)),
        (string x, string y) => string.CompareOrdinal(x, y),
        (bool x, bool y) => x.CompareTo(y),
        _ => null,
    };

    public static object IsIn(object? item, object? container)
    {
        if (container is JsonElement { ValueKind: JsonValueKind.Object } map && item is string key) return map.TryGetProperty(key, out _);
        return Items(container) is { } items ? items.Exists(other => AreEqual(item, other)) : new CelError($"'in' needs a list or an object, this is {TypeName(container)}");
    }

    public static object Arithmetic(string symbol, object? a, object? b)
    {
        if (symbol == "+" && a is string x && b is string y) return x + y;
        if (a is long i && b is long j)
        {
            return symbol switch
            {
                "/" or "%" when j == 0 => new CelError("division by zero"),
                "+" => i + j,
                "-" => i - j,
                "*" => i * j,
                "/" => i / j,
                _ => i % j,
            };
        }

        if (a is long or double && b is long or double && symbol != "%")
        {
            double p = Convert.ToDouble(a, CultureInfo.InvariantCulture), q = Convert.ToDouble(b, CultureInfo.InvariantCulture);
            return symbol switch { "+" => p + q, "-" => p - q, "*" => p * q, _ => p / q };
        }

        return new CelError($"'{symbol}' is not defined for {TypeName(a)} and {TypeName(b)}");
    }

    public static List<object?>? Items(object? value) => value switch
    {
        object?[] list => [.. list],
        JsonElement { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(item => Of(item))],
        _ => null,
    };

    public static string TypeName(object? value) => value switch
    {
        null => "null",
        bool => "a boolean",
        long => "an integer",
        double => "a double",
        string => "a string",
        JsonElement { ValueKind: JsonValueKind.Object } => "an object",
        _ => "a list",
    };
}
