using System.Globalization;

namespace Mesh.Gateway.Pipeline.Plan;

/// <summary>
/// The <c>params</c> of one stage. A stage reads each with its range while it is built; what is out of range, or read by
/// nobody, becomes a fault of the file.
/// </summary>
internal sealed class StageParams(IReadOnlyDictionary<string, string> values, Action<string> fault)
{
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, string> Values => values;

    public int Integer(string name, int preset, int least, int most)
    {
        if (!TryRead(name, out string text)) return preset;
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
            return value;
        fault($"param {name} is '{text}'; a whole number from {least} to {most} was expected");
        return preset;
    }

    public double Number(string name, double preset, double least, double most)
    {
        if (!TryRead(name, out string text)) return preset;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= least && value <= most)
            return value;
        fault($"param {name} is '{text}'; a number from {least} to {most} was expected");
        return preset;
    }

    public string Choice(string name, string preset, params ReadOnlySpan<string> choices)
    {
        if (!TryRead(name, out string text)) return preset;
        if (choices.Contains(text)) return text;
        fault($"param {name} is '{text}'; one of {string.Join(", ", choices.ToArray())} was expected");
        return preset;
    }

    /// <summary>Words with commas between.</summary>
    public IReadOnlySet<string> Words(string name, string preset)
    {
        string[] words = (TryRead(name, out string text) ? text : preset).Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words.Length == 0) fault($"param {name} is '{text}'; at least one word was expected");
        return words.ToHashSet(StringComparer.Ordinal);
    }

    /// <summary>Names that no stage asked for: a typing error would otherwise leave a default in force unnoticed.</summary>
    public IEnumerable<string> Unread() => values.Keys.Where(name => !_read.Contains(name));

    private bool TryRead(string name, out string text)
    {
        _read.Add(name);
        return values.TryGetValue(name, out text!);
    }
}
