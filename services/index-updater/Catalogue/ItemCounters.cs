using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>Decayed counts of one item. Immutable: counting gives a new one, so that a capture for a snapshot stays as it was.</summary>
internal sealed record ItemCounters(float[] Counts, long AsOfMs)
{
    public static ItemCounters Zero { get; } = new(new float[ActionTaxonomy.Default.CounterCount], 0);

    public ItemCounters Add(int counter, long eventMs, double halfLifeMs)
    {
        float[] counts = [.. Counts];
        long asOf = DecayedCounter.Add(counts, counter, 1, eventMs, AsOfMs, halfLifeMs);
        return new ItemCounters(counts, asOf);
    }

    public Counters ToMessage() => new() { Counts = { Counts }, AsOfMs = AsOfMs };

    public static ItemCounters? Of(Counters? message) => message is null ? null : new ItemCounters([.. message.Counts], message.AsOfMs);
}
