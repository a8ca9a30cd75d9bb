using System.Globalization;

namespace Mesh.IndexUpdater;

/// <summary>Reads query parameters and collects every fault, not only the first.</summary>
internal sealed class QueryChecks
{
    public Dictionary<string, string[]> Faults { get; } = new(StringComparer.Ordinal);

    public ulong Number(string name, string? text, ulong min, ulong max, ulong fallback)
    {
        if (string.IsNullOrEmpty(text)) return fallback;
        if (ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) && value >= min && value <= max) return value;

        Faults[name] = [string.Create(CultureInfo.InvariantCulture, $"must be a whole number, {min} to {max}")];
        return fallback;
    }
}
