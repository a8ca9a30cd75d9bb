namespace Mesh.Numerics;

/// <summary>
/// Counts that halve every half-life: c(now) = c(as of) * 0.5^((now - as of) / halfLife). Times are Unix milliseconds.
/// </summary>
public static class DecayedCounter
{
    /// <summary>What a count as of one moment is worth at another, 0..1. An earlier moment is worth no more than the count itself: 1.</summary>
    public static double Factor(long asOfMs, long nowMs, double halfLifeMs)
    {
        if (!(halfLifeMs > 0)) throw new ArgumentOutOfRangeException(nameof(halfLifeMs), halfLifeMs, "A half-life is above zero.");

        // As doubles: moments from the far ends of long would overflow otherwise.
        return nowMs <= asOfMs ? 1 : Math.Pow(0.5, ((double)nowMs - asOfMs) / halfLifeMs);
    }

    /// <summary>Moves counts forward to <paramref name="nowMs"/> in place; a moment before <paramref name="asOfMs"/> changes nothing.</summary>
    /// <returns>What the counts are as of now: the later of the two moments.</returns>
    public static long Advance(Span<float> counts, long asOfMs, long nowMs, double halfLifeMs)
    {
        if (nowMs <= asOfMs) return asOfMs;

        double factor = Factor(asOfMs, nowMs, halfLifeMs);
        for (int i = 0; i < counts.Length; i++) counts[i] = (float)(counts[i] * factor);
        return nowMs;
    }

    /// <summary>
    /// Counts one event at <paramref name="eventMs"/> in place. A late event (before <paramref name="asOfMs"/>) adds what
    /// it would be worth by then, so the order of arrival does not matter.
    /// </summary>
    /// <returns>The new as-of moment.</returns>
    public static long Add(Span<float> counts, int index, double amount, long eventMs, long asOfMs, double halfLifeMs)
    {
        long now = Advance(counts, asOfMs, eventMs, halfLifeMs);
        counts[index] = (float)(counts[index] + (amount * Factor(eventMs, now, halfLifeMs)));
        return now;
    }
}
