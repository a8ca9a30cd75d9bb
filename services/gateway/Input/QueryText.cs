using System.Globalization;
using Mesh.Gateway.Problems;

namespace Mesh.Gateway.Input;

/// <summary>Values of query strings.</summary>
internal static class QueryText
{
    public static int Integer(Faults faults, string name, string? text, int preset, int least, int most)
    {
        if (text is null) return preset;
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
            return value;
        faults.Add(name, $"{name} {Shown.Value(text)} is not a whole number from {least} to {most}.");
        return preset;
    }
}
