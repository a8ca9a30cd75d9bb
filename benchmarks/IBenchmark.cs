using System.Globalization;

namespace Mesh.Benchmarks;

/// <summary>One benchmark: prints a table, returns its figures.</summary>
internal interface IBenchmark
{
    string Name { get; }

    string Summary { get; }

    /// <summary>Options with their defaults.</summary>
    IReadOnlyDictionary<string, string> Options { get; }

    Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation);
}

/// <summary>Options of one run, defaults filled in.</summary>
internal sealed class BenchmarkOptions
{
    private readonly Dictionary<string, string> _values;

    private BenchmarkOptions(Dictionary<string, string> values) => _values = values;

    /// <summary>Where to write <c>{"figures": {name: number}}</c>; null = nowhere.</summary>
    public string? Json => _values.GetValueOrDefault("json");

    public string this[string name] => _values[name];

    public int Int(string name) => int.TryParse(_values[name], NumberStyles.None, CultureInfo.InvariantCulture, out int value)
        ? value
        : throw new ArgumentException($"--{name} is '{_values[name]}'; it takes a whole number.");

    public int[] Ints(string name)
    {
        try
        {
            return [.. _values[name].Split(',').Select(part => int.Parse(part, NumberStyles.None, CultureInfo.InvariantCulture))];
        }
        catch (FormatException)
        {
            throw new ArgumentException($"--{name} is '{_values[name]}'; it takes whole numbers with commas between.");
        }
    }

    public double[] Doubles(string name)
    {
        try
        {
            return [.. _values[name].Split(',').Select(part => double.Parse(part, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture))];
        }
        catch (FormatException)
        {
            throw new ArgumentException($"--{name} is '{_values[name]}'; it takes numbers with commas between.");
        }
    }

    public static BenchmarkOptions Parse(ReadOnlySpan<string> args, IReadOnlyDictionary<string, string> defaults)
    {
        var values = new Dictionary<string, string>(defaults, StringComparer.Ordinal);
        for (int i = 0; i < args.Length; i += 2)
        {
            string name = args[i].StartsWith("--", StringComparison.Ordinal) ? args[i][2..] : "";
            if (name != "json" && !defaults.ContainsKey(name)) throw new ArgumentException($"'{args[i]}' is not an option.");
            if (i + 1 == args.Length) throw new ArgumentException($"--{name} needs a value.");
            values[name] = args[i + 1];
        }

        return new BenchmarkOptions(values);
    }
}
