using Mesh.Contracts;

namespace Mesh.Retrieval.Values;

internal enum ValueField
{
    Similarity,
    AgeHours,
    DurationSeconds,
    Engagement,
    Trending,
    InNetwork,
    Rate,
    Count,
}

/// <summary>What a formula may read of a candidate. <paramref name="Action"/> is the place in the counters, of Rate and Count only.</summary>
internal readonly record struct ValueColumn(ValueField Field, int Action)
{
    private const string RatePrefix = "rate.";
    private const string CountPrefix = "count.";

    private static readonly (string Name, ValueField Field)[] Plain =
    [
        ("similarity", ValueField.Similarity), ("age_hours", ValueField.AgeHours), ("duration_seconds", ValueField.DurationSeconds),
        ("engagement", ValueField.Engagement), ("trending", ValueField.Trending), ("in_network", ValueField.InNetwork),
    ];

    /// <summary>Every name, for messages.</summary>
    public static string Known { get; } =
        $"{string.Join(", ", Plain.Select(pair => pair.Name))}, and rate.ACTION and count.ACTION where ACTION is one of "
        + $"{string.Join(", ", ActionTaxonomy.Default.Names)}, and count.{ActionTaxonomy.Default.Impression}";

    public static bool TryFind(string name, out ValueColumn column)
    {
        column = default;
        foreach ((string plain, ValueField field) in Plain)
        {
            if (name != plain) continue;
            column = new ValueColumn(field, 0);
            return true;
        }

        ActionTaxonomy actions = ActionTaxonomy.Default;
        if (name.StartsWith(CountPrefix, StringComparison.Ordinal)) column = new ValueColumn(ValueField.Count, actions.IndexOf(name[CountPrefix.Length..]));
        else if (name.StartsWith(RatePrefix, StringComparison.Ordinal)) column = new ValueColumn(ValueField.Rate, actions.IndexOf(name[RatePrefix.Length..]));
        else return false;
        return column.Action >= 0 && (column.Field == ValueField.Count || column.Action != actions.ImpressionIndex);
    }
}
