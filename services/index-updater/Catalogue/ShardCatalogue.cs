using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>
/// Everything that is known of a shard's items, in memory. Changed only by committing a turn whose log entries are stored,
/// or by replaying stored entries; both leave the same catalogue. One thread at a time.
/// </summary>
internal sealed class ShardCatalogue
{
    private readonly Dictionary<string, CatalogueEntry> _entries = new(StringComparer.Ordinal);
    private readonly LinkedList<string> _orphans = [];
    private readonly Dictionary<string, LinkedListNode<string>> _orphanNodes = new(StringComparer.Ordinal);

    /// <summary>Rows of the index: entries with an item.</summary>
    public int Items { get; private set; }

    /// <summary>Ids of orphans, the one that was touched longest ago first.</summary>
    public IEnumerable<string> Orphans => _orphans;

    public int OrphanCount => _orphans.Count;

    /// <summary>All entries: rows, then tombstones, then orphans from the longest ago touched to the newest.</summary>
    public IEnumerable<CatalogueEntry> Entries =>
    [
        .. Rows,
        .. _entries.Values.Where(entry => entry.IsTombstone),
        .. _orphans.Select(id => _entries[id]),
    ];

    /// <summary>Entries with an item, in no order.</summary>
    public IEnumerable<CatalogueEntry> Rows => _entries.Values.Where(static entry => entry.IsLive);

    public CatalogueEntry? Find(string itemId) => _entries.GetValueOrDefault(itemId);

    public void Set(CatalogueEntry entry)
    {
        Forget(entry.ItemId);
        _entries[entry.ItemId] = entry;
        if (entry.IsLive) Items++;
        if (entry.IsOrphan) _orphanNodes[entry.ItemId] = _orphans.AddLast(entry.ItemId);
    }

    public void Forget(string itemId)
    {
        if (!_entries.Remove(itemId, out CatalogueEntry? before)) return;
        if (before.IsLive) Items--;
        if (_orphanNodes.Remove(itemId, out LinkedListNode<string>? node)) _orphans.Remove(node);
    }

    /// <summary>Applies one stored batch of the log.</summary>
    public void Replay(IndexLogBatch batch)
    {
        foreach (IndexDelta delta in batch.Deltas) Replay(delta);
        foreach (RowState state in batch.States) Replay(state);
    }

    public void Replay(RowState state)
    {
        if (state.Forgotten) Forget(state.ItemId);
        else Set((Find(state.ItemId) ?? new CatalogueEntry { ItemId = state.ItemId }).WithState(state));
    }

    private void Replay(IndexDelta delta)
    {
        switch (delta.DeltaCase)
        {
            case IndexDelta.DeltaOneofCase.Upserted:
                string id = delta.Upserted.Item.ItemId;
                Set((Find(id) ?? new CatalogueEntry { ItemId = id }).WithRow(delta.Upserted));
                break;
            case IndexDelta.DeltaOneofCase.Engagement when Find(delta.Engagement.ItemId) is { IsLive: true } row:
                Set(row with { Counters = ItemCounters.Of(delta.Engagement.Counters), Version = delta.Sequence });
                break;
            case IndexDelta.DeltaOneofCase.Eligibility when Find(delta.Eligibility.ItemId) is { IsLive: true } row:
                Set(row with { Eligibility = delta.Eligibility.Eligibility, Version = delta.Sequence });
                break;
            case IndexDelta.DeltaOneofCase.DeletedItemId when Find(delta.DeletedItemId) is { } row:
                Set(row with { Version = delta.Sequence });
                break;
            default:
                break; // Snapshot notices change no row; the state of a delete is in the batch's states.
        }
    }
}
