using System.Globalization;
using System.Text.RegularExpressions;
using Mesh.Sidecar.Components;

namespace Mesh.Sidecar.Actors;

/// <summary>A span of time as Dapr writes it: calendar parts (ISO 8601 only) and an exact part, with an optional count of repetitions.</summary>
/// <param name="Repetitions">How often, in all; null = without end.</param>
internal readonly partial record struct DaprDuration(int Years, int Months, int Days, TimeSpan Exact, int? Repetitions)
{
    public bool IsZero => Years == 0 && Months == 0 && Days == 0 && Exact == TimeSpan.Zero;

    public DateTimeOffset After(DateTimeOffset time) => time.AddYears(Years).AddMonths(Months).AddDays(Days) + Exact;

    /// <summary>Parses Go's <c>1h30m</c> and ISO 8601's <c>PT1H30M</c>, <c>R5/PT1M</c>.</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static DaprDuration Parse(string text)
    {
        Match iso = Iso8601().Match(text);
        if (iso.Success)
        {
            int Part(string name) => iso.Groups[name].Success ? int.Parse(iso.Groups[name].ValueSpan, CultureInfo.InvariantCulture) : 0;
            var exact = new TimeSpan(Part("hour"), Part("minute"), Part("second"));
            return new DaprDuration(Part("year"), Part("month"), (7 * Part("week")) + Part("day"), exact, iso.Groups["times"].Success ? Part("times") : null);
        }

        // A bare number is no duration in Go, but for zero.
        bool isBareNumber = text.Length > 0 && char.IsAsciiDigit(text[^1]) && text != "0";
        if (!isBareNumber && GoDuration.TryParse(text, out TimeSpan span)) return new DaprDuration(0, 0, 0, span, null);

        throw new FormatException($"unsupported duration format: {text}");
    }

    [GeneratedRegex(@"^(R(?<times>\d{1,9})/)?P((?<year>\d{1,4})Y)?((?<month>\d{1,5})M)?((?<week>\d{1,6})W)?((?<day>\d{1,6})D)?" +
        @"(T((?<hour>\d{1,8})H)?((?<minute>\d{1,9})M)?((?<second>\d{1,9})S)?)?$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex Iso8601();
}

/// <summary>
/// When a reminder or timer fires: first at <see cref="Due"/>, then each period, until the repetitions run out or it
/// expires. Immutable; <see cref="Next"/> gives the schedule after one firing.
/// </summary>
/// <param name="DueTime">As the caller wrote it; sent back to the app.</param>
/// <param name="Period">As the caller wrote it; empty = once.</param>
/// <param name="Due">The next firing.</param>
/// <param name="Left">Firings left; null = without end.</param>
/// <param name="Expires">From here on it fires no more; null = never.</param>
internal sealed record Schedule(string DueTime, string Period, DateTimeOffset Due, int? Left, DateTimeOffset? Expires)
{
    /// <summary>Reads what the API takes: due time and time to live as duration or RFC 3339 date, period as duration.</summary>
    /// <param name="what">"reminder" or "timer", for the messages.</param>
    /// <exception cref="FormatException">A part is malformed, or it has expired already.</exception>
    public static Schedule Create(string what, string dueTime, string period, string ttl, DateTimeOffset now)
    {
        DateTimeOffset due = dueTime.Length == 0 ? now : ParseTime(dueTime, now, $"error parsing {what} due time");
        DaprDuration step = default;
        if (period.Length > 0)
        {
            step = Guarded(() => DaprDuration.Parse(period), $"invalid {what} period");
            if (step.Repetitions == 0) throw new FormatException($"invalid {what} period: has zero repetitions");
            if (step.Exact < TimeSpan.Zero) throw new FormatException($"invalid {what} period: {period} is negative");
        }

        DateTimeOffset? expires = ttl.Length == 0 ? null : ParseTime(ttl, due, $"error parsing {what} TTL");
        if (expires < now || expires < due) throw new FormatException($"{what} has already expired: dueTime: {due:O} TTL: {ttl}");
        return new Schedule(dueTime, period, due, step.IsZero ? 1 : step.Repetitions, expires);
    }

    public bool HasExpired(DateTimeOffset time) => Expires <= time;

    /// <summary>
    /// The schedule after a firing, or null where that was the last one. Ticks missed while nothing ran are not made up
    /// for one by one: the next is the first that lies ahead, on the same grid.
    /// </summary>
    public Schedule? Next(DateTimeOffset now)
    {
        if (Left <= 1) return null;

        DaprDuration step = DaprDuration.Parse(Period);
        DateTimeOffset next = step.After(Due);
        if (next <= now && step is { Years: 0, Months: 0, Days: 0 })
        {
            long missed = (now - Due).Ticks / step.Exact.Ticks;
            next = Due + (step.Exact * missed) + step.Exact;
        }

        while (next <= now) next = step.After(next);
        Schedule following = this with { Due = next, Left = Left - 1 };
        return following.HasExpired(next) ? null : following;
    }

    private static DateTimeOffset ParseTime(string text, DateTimeOffset from, string fault)
    {
        bool looksLikeDate = text is { Length: >= 20 } && text[4] == '-' && (text[10] is 'T' or 't');
        if (looksLikeDate && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset date))
        {
            return date.ToUniversalTime();
        }

        DaprDuration duration = Guarded(() => DaprDuration.Parse(text), fault);
        if (duration.Repetitions is not null) throw new FormatException($"{fault}: repetitions are not allowed");
        return Guarded(() => duration.After(from), fault);
    }

    private static T Guarded<T>(Func<T> parse, string fault)
    {
        try
        {
            return parse();
        }
        catch (Exception error) when (error is FormatException or OverflowException or ArgumentOutOfRangeException)
        {
            throw new FormatException($"{fault}: {error.Message}", error);
        }
    }
}
