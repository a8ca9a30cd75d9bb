namespace Mesh.Inference.Features;

/// <summary>How features are made for one model: manifest.json's section <c>features</c>. A model must be served with the settings it was trained with.</summary>
public sealed record FeatureSettings
{
    /// <summary>Buckets of item tokens, 0 (padding) included.</summary>
    public required int TokenBuckets { get; init; }

    /// <summary>Tokens of an item (T).</summary>
    public required int TokensMax { get; init; }

    /// <summary>Buckets of authors, 0 (none) included.</summary>
    public required int AuthorBuckets { get; init; }

    /// <summary>Tokens of a history (L).</summary>
    public required int HistoryMax { get; init; }

    /// <summary>Events of one item join one token up to this long after its first, in milliseconds.</summary>
    public required long MergeWindowMs { get; init; }

    /// <summary>Buckets of time spans: seconds by powers of two.</summary>
    public required int GapBuckets { get; init; }

    /// <summary>How often each action follows an impression, 0..1 exclusive: what an item without counts is taken for.</summary>
    public required IReadOnlyList<float> PriorRates { get; init; }

    /// <summary>Half-life of engagement counters where the request names none.</summary>
    public required double CounterHalfLifeHours { get; init; }

    internal IEnumerable<string> Faults(int actions)
    {
        if (TokenBuckets is < 2 or > 100_000_000) yield return $"token_buckets is {TokenBuckets}; it must be 2..100000000";
        if (TokensMax is < 1 or > 4_096) yield return $"tokens_max is {TokensMax}; it must be 1..4096";
        if (AuthorBuckets is < 2 or > 100_000_000) yield return $"author_buckets is {AuthorBuckets}; it must be 2..100000000";
        if (HistoryMax is < 1 or > 65_536) yield return $"history_max is {HistoryMax}; it must be 1..65536";
        if (MergeWindowMs < 0) yield return $"merge_window_ms is {MergeWindowMs}; it must not be negative";
        if (GapBuckets != TimeBuckets.Count) yield return $"gap_buckets is {GapBuckets}; this build makes {TimeBuckets.Count}";
        if (PriorRates.Count != actions || PriorRates.Any(rate => !(rate > 0 && rate < 1))) yield return $"prior_rates must be {actions} numbers between 0 and 1";
        if (!(CounterHalfLifeHours > 0 && double.IsFinite(CounterHalfLifeHours))) yield return $"counter_half_life_hours is {CounterHalfLifeHours}; it must be above 0";
    }
}
