// The memory model of the index, on which "readers never lock and never see a torn row" rests:
//
// 1. One writer. Only the thread that applies deltas writes rows, lists and blocks of a LiveIndex.
// 2. What a reader dereferences never changes. ItemFacts, RowState and the Counters and Eligibility messages in it are
//    complete before they are published and are never written again; an update makes a new RowState. The Counters message of a row that
//    came with a snapshot is made of its numbers by whoever asks first; two who ask at once make two that are equal.
// 3. Publication is one reference store with release semantics (a volatile field), and readers load it with acquire:
//    whoever sees the reference sees everything written before it. A reference is stored in one piece, so a reader sees
//    the row before or after an update and never a mixture.
// 4. A vector slot is written once, before the first RowState that names the slot is published, and never reused within
//    a LiveIndex. A changed embedding takes a new slot; a reader reaches a vector only through a RowState.
//
// A reader that reads a row's State once and works on that object therefore holds facts, counters, eligibility and
// vector of one version.
using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// One item's place in the index: the identity that blocks, rings and prefix lists share. Its state is swapped whole.
/// </summary>
internal sealed class Row
{
    // Written by the one writer; read by every request.
    private volatile RowState? _state;

    /// <summary>The row as of now; null once the item is deleted, and then for ever.</summary>
    public RowState? State
    {
        get => _state;
        set => _state = value;
    }
}

/// <summary>A row and the state that a search saw it in.</summary>
internal readonly record struct Seen(Row Row, RowState State);

/// <summary>Everything known of an item at one moment. Immutable: the messages in it are never written after construction.</summary>
internal sealed class RowState
{
    // Counts of the row and its neighbours in the file, where it came with a snapshot: three objects less a row, and nothing to read of them at the start.
    private readonly float[]? _counts;
    private readonly int _countsAt;

    // Set at once where the row came with a message.
    private volatile Counters? _counters;

    public RowState(ItemFacts facts, Counters counters, Eligibility eligibility, ulong version, int slot)
        : this(facts, counters, eligibility, new RowVersions(version, version, version), slot)
    {
    }

    public RowState(ItemFacts facts, Counters counters, Eligibility eligibility, RowVersions versions, int slot)
    {
        (Facts, Eligibility, Versions, Slot) = (facts, eligibility, versions, slot);
        _counters = counters;
        Engagement = SumOfCounts();
        EngagementAsOfMs = counters.AsOfMs;
    }

    /// <summary>A row of a snapshot, which has counters.</summary>
    /// <param name="counts">[rows, <see cref="ActionTaxonomy.CounterCount"/>] of the file, never written; shared by its rows.</param>
    /// <param name="row">In the file.</param>
    public RowState(ItemFacts facts, float[] counts, int row, long countersAsOfMs, Eligibility eligibility, ulong version, int slot)
    {
        (Facts, Eligibility, Versions, Slot) = (facts, eligibility, new RowVersions(version, version, version), slot);
        (_counts, _countsAt) = (counts, row * ActionTaxonomy.Default.CounterCount);
        Engagement = SumOfCounts();
        EngagementAsOfMs = countersAsOfMs;
    }

    private RowState(RowState counted, Eligibility eligibility, RowVersions versions, int slot)
    {
        (Facts, Eligibility, Versions, Slot) = (counted.Facts, eligibility, versions, slot);
        (_counts, _countsAt, _counters) = (counted._counts, counted._countsAt, counted._counters);
        (Engagement, EngagementAsOfMs) = (counted.Engagement, counted.EngagementAsOfMs);
    }

    public ItemFacts Facts { get; }

    public Counters Counters => _counters ??= MakeCounters();

    /// <summary>Counts that the row has, from 0 on.</summary>
    public int CountsHeld => _counts is null ? _counters!.Counts.Count : ActionTaxonomy.Default.CounterCount;

    public Eligibility Eligibility { get; }

    /// <summary>Sequence number of the last delta that changed the row.</summary>
    public ulong Version => Math.Max(Versions.Facts, Math.Max(Versions.Counters, Versions.Eligibility));

    public RowVersions Versions { get; }

    /// <summary>Where the vector lies in the vector index.</summary>
    public int Slot { get; }

    /// <summary>Sum of counts times default weights at <see cref="EngagementAsOfMs"/>: linear in the counts, so it decays as they do.</summary>
    public double Engagement { get; }

    public long EngagementAsOfMs { get; }

    public RowState With(Counters counters, ulong version) => new(Facts, counters, Eligibility, Versions with { Counters = version }, Slot);

    public RowState With(Eligibility eligibility, ulong version) => new(this, eligibility, Versions with { Eligibility = version }, Slot);

    /// <summary>The same in another index.</summary>
    public RowState At(int slot) => new(this, Eligibility, Versions, slot);

    /// <summary><see cref="Engagement"/> decayed to <paramref name="nowMs"/>.</summary>
    public double EngagementAt(long nowMs, double halfLifeMs) =>
        Engagement == 0 ? 0 : Engagement * DecayedCounter.Factor(EngagementAsOfMs, nowMs, halfLifeMs);

    /// <summary>One of the <see cref="CountsHeld"/>, without making the message.</summary>
    public float CountOf(int index) => _counts is null ? _counters!.Counts[index] : _counts[_countsAt + index];

    private double SumOfCounts()
    {
        IReadOnlyList<float> weights = ActionTaxonomy.Default.DefaultWeights;
        double sum = 0;
        for (int i = 0, counts = CountsHeld; i < counts && i < weights.Count; i++) sum += weights[i] * CountOf(i);
        return double.IsFinite(sum) ? sum : 0;
    }

    private Counters MakeCounters()
    {
        var counters = new Counters { AsOfMs = EngagementAsOfMs };
        counters.Counts.Capacity = CountsHeld;
        for (int i = 0; i < CountsHeld; i++) counters.Counts.Add(CountOf(i));
        return counters;
    }
}

/// <summary>
/// Sequence numbers of the deltas that the parts of a row are of. Each part is the latest there was, whatever order they came in: an upsert
/// brings all three parts, an engagement counters, and a change of eligibility that.
/// </summary>
internal readonly record struct RowVersions(ulong Facts, ulong Counters, ulong Eligibility);
