using System.Globalization;
using System.Text;

namespace Mesh.Simulator;

/// <summary>One flag of a command: a switch where <paramref name="Value"/> is null, otherwise one that takes a value.</summary>
public sealed record Flag(string Name, string Help, string? Value = null, string? Default = null, bool Repeatable = false);

/// <summary>The flags do not add up; the message says which and why. The caller prints it with the usage and exits with 2.</summary>
public sealed class CommandLineException(string message) : Exception(message);

/// <summary>Flags as <c>--name value</c> or <c>--name=value</c>. Anything that is not declared is an error.</summary>
public sealed class CommandLine(params IReadOnlyList<Flag> flags)
{
    /// <exception cref="CommandLineException">Unknown flag, missing or surplus value, or a flag given twice.</exception>
    public CommandLineValues Parse(IReadOnlyList<string> args)
    {
        ArgumentNullException.ThrowIfNull(args);
        var given = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        for (int i = 0; i < args.Count; i++)
        {
            int equals = args[i].IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? args[i] : args[i][..equals];
            Flag flag = flags.FirstOrDefault(flag => flag.Name == name) ?? throw new CommandLineException($"{args[i]} is not a flag of this command.");
            List<string> values = given.TryGetValue(name, out List<string>? before) ? before : given[name] = [];
            if (before is not null && !flag.Repeatable) throw new CommandLineException($"{name} is given twice.");

            if (flag.Value is null)
            {
                if (equals >= 0) throw new CommandLineException($"{name} takes no value.");
                continue;
            }

            string? value = equals >= 0 ? args[i][(equals + 1)..] : i + 1 < args.Count ? args[++i] : null;
            if (string.IsNullOrEmpty(value) || (equals < 0 && value.StartsWith("--", StringComparison.Ordinal)))
            {
                throw new CommandLineException($"{name} needs a value: {name} {flag.Value}.");
            }

            values.Add(value);
        }

        return new CommandLineValues(given);
    }

    public string Usage(string purpose, string call)
    {
        var text = new StringBuilder().AppendLine(purpose).AppendLine().Append("usage: ").AppendLine(call).AppendLine();
        int width = flags.Max(flag => Left(flag).Length) + 2;
        foreach (Flag flag in flags)
        {
            text.Append("  ").Append(Left(flag).PadRight(width)).Append(flag.Help);
            if (flag.Default is not null) text.Append(CultureInfo.InvariantCulture, $" (default {flag.Default})");
            if (flag.Repeatable) text.Append("; may be repeated");
            text.AppendLine();
        }

        return text.ToString();
    }

    private static string Left(Flag flag) => flag.Value is null ? flag.Name : $"{flag.Name} {flag.Value}";
}

/// <summary>What was given on the command line.</summary>
public sealed class CommandLineValues(IReadOnlyDictionary<string, List<string>> given)
{
    public bool Has(string name) => given.ContainsKey(name);

    public string? Single(string name) => given.TryGetValue(name, out List<string>? values) ? values[0] : null;

    public IReadOnlyList<string> All(string name) => given.TryGetValue(name, out List<string>? values) ? values : [];

    /// <summary>The value where it is one of <paramref name="allowed"/>; the first of them where the flag is absent.</summary>
    public string OneOf(string name, params IReadOnlyList<string> allowed)
    {
        string value = Single(name) ?? allowed[0];
        return allowed.Contains(value) ? value : throw new CommandLineException($"{name} {value}: expected {string.Join(" or ", allowed)}.");
    }

    public int Number(string name, int fallback, int min, int max)
    {
        if (Single(name) is not { } text) return fallback;
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= min && number <= max
            ? number
            : throw new CommandLineException($"{name} {text}: expected a whole number from {min} to {max}.");
    }

    /// <summary>Seeds as <c>1-8</c>, <c>1,5,9</c> or both mixed; each once, in the order given.</summary>
    public IReadOnlyList<int> Seeds(string name, string fallback)
    {
        string text = Single(name) ?? fallback;
        var seeds = new List<int>();
        foreach (string part in text.Split(','))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !IsSeed(ends[0], out int first) || !IsSeed(ends[^1], out int last) || last < first || last - first >= SeedsMax)
            {
                throw new CommandLineException($"{name} {text}: expected seeds such as 1-8 or 1,5,9.");
            }

            seeds.AddRange(Enumerable.Range(first, last - first + 1));
        }

        if (seeds.Count > SeedsMax || seeds.Distinct().Count() < seeds.Count) throw new CommandLineException($"{name} {text}: expected at most {SeedsMax} different seeds.");
        return seeds;
    }

    public DateTimeOffset Moment(string name, DateTimeOffset fallback)
    {
        if (Single(name) is not { } text) return fallback;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment)
            ? moment
            : throw new CommandLineException($"{name} {text}: expected a time, e.g. 2026-01-31T12:00:00Z.");
    }

    private const int SeedsMax = 1_000;

    private static bool IsSeed(string text, out int seed) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out seed);
}
