using System.Globalization;

namespace Mesh.Simulator.Import;

/// <summary>What became of one kind of row.</summary>
public sealed class ImportCount
{
    /// <summary>Reasons kept for the summary: enough to see what is wrong, not one for each of a million rows.</summary>
    public const int ReasonsMax = 10;

    private readonly Lock _gate = new();
    private readonly List<string> _reasons = [];

    public long Accepted { get; private set; }

    public long Rejected { get; private set; }

    /// <summary>The first reasons, each with the row it was given for.</summary>
    public IReadOnlyList<string> FirstReasons
    {
        get
        {
            lock (_gate) return [.. _reasons];
        }
    }

    internal void Add(long accepted, IReadOnlyList<string> rejections)
    {
        lock (_gate)
        {
            Accepted += accepted;
            Rejected += rejections.Count;
            _reasons.AddRange(rejections.Take(ReasonsMax - _reasons.Count));
        }
    }
}

/// <summary>Outcome of an import.</summary>
public sealed class ImportSummary
{
    public ImportCount Items { get; } = new();

    public ImportCount Follows { get; } = new();

    public ImportCount Events { get; } = new();

    public TimeSpan Elapsed { get; internal set; }

    /// <summary>Calls that the gateway could not take at first.</summary>
    public long Retries { get; internal set; }

    public long Rejected => Items.Rejected + Follows.Rejected + Events.Rejected;

    public double RowsPerSecond => (Items.Accepted + Follows.Accepted + Events.Accepted) / Math.Max(Elapsed.TotalSeconds, 1e-3);

    public override string ToString()
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        foreach ((string name, ImportCount count) in new[] { ("items", Items), ("follows", Follows), ("events", Events) })
        {
            text.WriteLine($"{name,-8} {count.Accepted,10:N0} accepted {count.Rejected,8:N0} rejected");
            foreach (string reason in count.FirstReasons) text.WriteLine($"         {reason}");
            if (count.Rejected > count.FirstReasons.Count) text.WriteLine($"         and {count.Rejected - count.FirstReasons.Count:N0} more");
        }

        text.WriteLine($"{Elapsed.TotalSeconds:N1} s, {RowsPerSecond:N0} rows/s, {Retries:N0} calls repeated");
        return text.ToString();
    }
}
