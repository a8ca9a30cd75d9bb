using System.Buffers;
using System.Globalization;

namespace Mesh.Sidecar.Components;

/// <summary>Durations as Dapr's YAML and API write them: Go's <c>1h30m</c>, <c>500ms</c>, <c>20s</c>; a plain number is seconds.</summary>
public static class GoDuration
{
    private static readonly SearchValues<char> Digits = SearchValues.Create("0123456789.");

    public static bool TryParse(string text, out TimeSpan value)
    {
        ArgumentNullException.ThrowIfNull(text);
        value = default;
        ReadOnlySpan<char> rest = text.AsSpan().Trim();
        bool negative = rest.Length > 0 && rest[0] == '-';
        if (rest.Length > 0 && rest[0] is '-' or '+') rest = rest[1..];
        if (rest.IsEmpty) return false;
        if (TryNumber(rest, out double seconds)) return TryAssign(seconds, negative, out value);

        double total = 0;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept(Digits);
            if (digits <= 0 || !TryNumber(rest[..digits], out double number)) return false;

            rest = rest[digits..];
            int letters = rest.IndexOfAny(Digits);
            ReadOnlySpan<char> unit = letters < 0 ? rest : rest[..letters];
            if (SecondsIn(unit) is not { } scale) return false;

            total += number * scale;
            rest = rest[unit.Length..];
        }

        return TryAssign(total, negative, out value);
    }

    /// <summary>The way Go prints it: <c>1h30m0s</c>, <c>500ms</c>.</summary>
    public static string Format(TimeSpan value)
    {
        if (value == TimeSpan.Zero) return "0s";
        if (value < TimeSpan.Zero) return "-" + Format(-value);
        if (value < TimeSpan.FromMilliseconds(1)) return string.Create(CultureInfo.InvariantCulture, $"{value.TotalMicroseconds:0.###}µs");
        if (value < TimeSpan.FromSeconds(1)) return string.Create(CultureInfo.InvariantCulture, $"{value.TotalMilliseconds:0.######}ms");

        double seconds = value.TotalSeconds % 60;
        string text = string.Create(CultureInfo.InvariantCulture, $"{seconds:0.#######}s");
        if (value.TotalMinutes >= 1) text = string.Create(CultureInfo.InvariantCulture, $"{value.Minutes}m{text}");
        return value.TotalHours >= 1 ? string.Create(CultureInfo.InvariantCulture, $"{(long)value.TotalHours}h{text}") : text;
    }

    private static bool TryNumber(ReadOnlySpan<char> text, out double number) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number);

    private static double? SecondsIn(ReadOnlySpan<char> unit) => unit switch
    {
        "ns" => 1e-9,
        "us" or "µs" or "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => null,
    };

    private static bool TryAssign(double seconds, bool negative, out TimeSpan value)
    {
        value = default;
        if (seconds >= TimeSpan.MaxValue.TotalSeconds) return false;

        value = TimeSpan.FromTicks((long)Math.Round(seconds * TimeSpan.TicksPerSecond) * (negative ? -1 : 1));
        return true;
    }
}
