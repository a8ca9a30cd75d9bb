using System.Text;

namespace Mesh.Gateway.Problems;

/// <summary>A caller's value as it may stand in a message: shortened, with what cannot be printed escaped.</summary>
internal static class Shown
{
    private const int LengthMax = 60;

    public static string Value(string? value)
    {
        if (value is null) return "null";
        var shown = new StringBuilder(LengthMax + 8).Append('\'');
        foreach (char c in value.AsSpan(0, Math.Min(value.Length, LengthMax)))
        {
            // A half of a surrogate pair cut off here would make the problem body itself malformed.
            if (char.IsControl(c) || char.IsSurrogate(c))
                shown.Append("\\u").Append(((int)c).ToString("x4", System.Globalization.CultureInfo.InvariantCulture));
            else shown.Append(c);
        }

        shown.Append('\'');
        if (value.Length > LengthMax) shown.Append(System.Globalization.CultureInfo.InvariantCulture, $"... ({value.Length} characters)");
        return shown.ToString();
    }
}
