using System.Globalization;

namespace Mesh.Gateway.Input;

/// <summary>Times as clients write them. Inside the mesh a time is Unix milliseconds, UTC.</summary>
internal static class Moment
{
    public const string Rule = "ISO 8601 such as 2026-11-22T13:00:00Z (no offset means UTC), or Unix milliseconds as a whole number";

    /// <summary>1800-01-01: an item may be old (a film, a book), and earlier is a typing error.</summary>
    public const long OldestItemMs = -5_364_662_400_000;

    private static readonly string[] Formats =
    [
        "yyyy-MM-dd", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK",
    ];

    public static bool TryParse(string text, out long unixMs)
    {
        bool isIso = DateTimeOffset.TryParseExact(
            text, Formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment);
        unixMs = isIso ? moment.ToUnixTimeMilliseconds() : 0;
        return isIso;
    }

    /// <summary>For query strings, where a number arrives as text.</summary>
    public static bool TryParseQuery(string text, out long unixMs) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out unixMs) || TryParse(text, out unixMs);

    /// <summary>
    /// The time that a valid ULID begins with: 48 bits of Unix milliseconds, to the year 10889 (past what .NET's own types hold).
    /// </summary>
    public static long OfUlid(string ulid)
    {
        long unixMs = 0;
        foreach (byte part in Ulid.Parse(ulid).ToByteArray().AsSpan(0, 6)) unixMs = (unixMs << 8) | part;
        return unixMs;
    }

    /// <summary>ISO 8601 with milliseconds and Z; a time outside the calendar is clamped to it.</summary>
    public static string Format(long unixMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(
            Math.Clamp(unixMs, DateTimeOffset.MinValue.ToUnixTimeMilliseconds(), DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()))
            .ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
