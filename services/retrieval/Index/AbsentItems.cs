using Mesh.Contracts;

namespace Mesh.Retrieval.Index;

/// <summary>What is known of an item that the index does not hold: that it was deleted, or values that came before their item.</summary>
internal sealed class AbsentItem
{
    /// <summary>Sequence number of the deletion: no upsert up to it brings the item back. 0 where it was not deleted.</summary>
    public ulong DeletedAt { get; set; }

    public Counters? Counters { get; set; }

    public ulong CountersAt { get; set; }

    public Eligibility? Eligibility { get; set; }

    public ulong EligibilityAt { get; set; }

    public ulong NewestAt => Math.Max(DeletedAt, Math.Max(CountersAt, EligibilityAt));
}

/// <summary>
/// Tombstones and values without an item, so that deltas in any order come to the same rows. Kept for as long as a delta may be late: at
/// most one for each of the last <paramref name="disorderMax"/> sequence numbers. One writer, nobody else.
/// </summary>
internal sealed class AbsentItems(int disorderMax)
{
    private readonly Dictionary<string, AbsentItem> _items = new(StringComparer.Ordinal);
    private readonly PriorityQueue<string, ulong> _byAge = new(); // by a sequence number at which the item was noted
    private ulong _newest;

    public int Count => _items.Count;

    public AbsentItem? Find(string itemId) => _items.GetValueOrDefault(itemId);

    public void Remove(string itemId) => _items.Remove(itemId);

    /// <summary>Whether a delta so old could be of an item whose deletion is no longer known.</summary>
    public bool IsForgotten(ulong sequence) => sequence > 0 && sequence + (ulong)disorderMax <= _newest;

    /// <summary>Notes a deletion.</summary>
    /// <param name="last">The row as it was; null where there was none.</param>
    public void Delete(string itemId, ulong sequence, RowState? last = null)
    {
        if (Of(itemId, sequence) is not { } item) return;
        item.DeletedAt = Math.Max(item.DeletedAt, sequence);
        if (last is null) return;
        if (last.Versions.Counters > sequence) (item.Counters, item.CountersAt) = (last.Counters, last.Versions.Counters);
        if (last.Versions.Eligibility > sequence) (item.Eligibility, item.EligibilityAt) = (last.Eligibility, last.Versions.Eligibility);
    }

    public void Engage(string itemId, Counters counters, ulong sequence)
    {
        if (Of(itemId, sequence) is { } item && item.CountersAt < sequence) (item.Counters, item.CountersAt) = (counters, sequence);
    }

    public void Restrict(string itemId, Eligibility eligibility, ulong sequence)
    {
        if (Of(itemId, sequence) is { } item && item.EligibilityAt < sequence) (item.Eligibility, item.EligibilityAt) = (eligibility, sequence);
    }

    /// <summary>Forgets what no delta can be late for any more.</summary>
    public void Advance(ulong newest)
    {
        _newest = newest;
        while (_byAge.TryPeek(out string? itemId, out ulong noted) && IsForgotten(noted))
        {
            _byAge.Dequeue();
            if (_items.TryGetValue(itemId, out AbsentItem? item) && IsForgotten(item.NewestAt)) _items.Remove(itemId);
        }
    }

    // Null where the note would be forgotten at once.
    private AbsentItem? Of(string itemId, ulong sequence)
    {
        if (IsForgotten(sequence)) return null;
        if (!_items.TryGetValue(itemId, out AbsentItem? item)) _items[itemId] = item = new AbsentItem();
        if (sequence > item.NewestAt) _byAge.Enqueue(itemId, sequence); // it is kept as long as its newest note
        return item;
    }
}
