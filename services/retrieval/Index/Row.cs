// The memory model of the index, on which "readers never lock and never see a torn row" rests:
//
// 1. One writer. Only the thread that applies deltas writes rows, lists and blocks of a LiveIndex.
// 2. What a reader dereferences never changes. ItemFacts, RowState and the Counters and Eligibility messages in it are
//    complete before they are published and are never written again; an update makes a new RowState.
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
    public RowState(ItemFacts facts, Counters counters, Eligibility eligibility, ulong version, int slot)
        : this(facts, counters, eligibility, new RowVersions(version, version, version), slot)
    {
    }

    public RowState(ItemFacts facts, Counters counters, Eligibility eligibility, RowVersions versions, int slot)
    {
        Facts = facts;
        Counters = counters;
        Eligibility = eligibility;
        Versions = versions;
        Slot = slot;
        Engagement = EngagementOf(counters);
        EngagementAsOfMs = counters.AsOfMs;
    }

    public ItemFacts Facts { get; }

    public Counters Counters { get; }

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

    public RowState With(Eligibility eligibility, ulong version) => new(Facts, Counters, eligibility, Versions with { Eligibility = version }, Slot);

    /// <summary>The same in another index.</summary>
    public RowState At(int slot) => new(Facts, Counters, Eligibility, Versions, slot);

    /// <summary><see cref="Engagement"/> decayed to <paramref name="nowMs"/>.</summary>
    public double EngagementAt(long nowMs, double halfLifeMs) =>
        Engagement == 0 ? 0 : Engagement * DecayedCounter.Factor(EngagementAsOfMs, nowMs, halfLifeMs);

    private static double EngagementOf(Counters counters)
    {
        IReadOnlyList<float> weights = ActionTaxonomy.Default.DefaultWeights;
        double sum = 0;
        for (int i = 0; i < counters.Counts.Count && i < weights.Count; i++) sum += weights[i] * counters.Counts[i];
        return double.IsFinite(sum) ? sum : 0;
    }
}

/// <summary>
/// Sequence numbers of the deltas that the parts of a row are of. Each part is the latest there was, whatever order they came in: an upsert
/// brings all three parts, an engagement counters, and a change of eligibility that.
/// </summary>
internal readonly record struct RowVersions(ulong Facts, ulong Counters, ulong Eligibility);
