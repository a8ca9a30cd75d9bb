using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>What a turn works with besides the catalogue.</summary>
internal sealed record TurnSettings(ItemModel Model, double HalfLifeMs, int OrphansMax, long NowMs);

/// <summary>
/// One turn of changes, worked out beside the catalogue: it reads through to it and writes into an overlay. Nothing is
/// changed until the turn's deltas and states are stored; then <see cref="Commit"/> puts the overlay into the catalogue. A
/// turn whose storing failed is dropped, and nothing of it is left.
/// </summary>
internal sealed class CatalogueTurn(ShardCatalogue catalogue, DedupeWindow window, ulong headSequence, TurnSettings settings)
{
    private readonly Dictionary<string, CatalogueEntry> _overlay = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _lastTouch = new(StringComparer.Ordinal);
    private readonly HashSet<string> _withState = new(StringComparer.Ordinal);
    private readonly HashSet<string> _forgotten = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _countedRows = new(StringComparer.Ordinal);
    private readonly HashSet<ulong> _newEvents = [];
    private int _touches;

    public ItemModel Model => settings.Model;

    /// <summary>Deltas so far, numbered on from the head.</summary>
    public List<IndexDelta> Deltas { get; } = [];

    /// <summary>Event ids that enter the dedupe ring, in order.</summary>
    public List<ulong> NewEvents { get; } = [];

    /// <summary>Changes that were known already or came after a later one.</summary>
    public int Ignored { get; private set; }

    /// <param name="encoded">The item by the turn's model.</param>
    public void Upsert(Item item, EncodedItem encoded, Stamp stamp)
    {
        CatalogueEntry? before = Find(item.ItemId);
        if (IsOld(before, stamp)) return;

        CatalogueEntry entry = settings.Model.With(before ?? new CatalogueEntry { ItemId = item.ItemId }, encoded) with
        {
            Item = item,
            ItemStamp = stamp,
            Version = NextSequence,
        };
        Put(entry, withState: true);
        Emit(new IndexDelta { EventTimeMs = stamp.TimeMs, Upserted = entry.ToRow() });
    }

    public void Delete(string itemId, Stamp stamp)
    {
        CatalogueEntry? before = Find(itemId);
        if (IsOld(before, stamp)) return;

        bool wasLive = before is { IsLive: true };
        // Eligibility stays: an item that moderation has hidden is still hidden when its author brings it back.
        Put(
            (before ?? new CatalogueEntry { ItemId = itemId }) with
            {
                Item = null,
                Embedding = ByteString.Empty,
                Codes = null,
                ModelVersion = "",
                Counters = null,
                ItemStamp = stamp,
                Version = wasLive ? NextSequence : before?.Version ?? 0,
            },
            withState: true);
        if (wasLive) Emit(new IndexDelta { EventTimeMs = stamp.TimeMs, DeletedItemId = itemId });
    }

    public void Patch(EligibilityChange change)
    {
        Stamp stamp = Stamp.Of(change.TimeMs, change.EventId);
        CatalogueEntry before = Find(change.ItemId) ?? new CatalogueEntry { ItemId = change.ItemId };
        Stamp[] stamps = before.EligibilityStamps is { } known ? [.. known] : new Stamp[CatalogueEntry.EligibilityFields.Length];
        Eligibility eligibility = before.Eligibility?.Clone() ?? new Eligibility();
        if (!EligibilityPatch.Apply(change, stamp, eligibility, stamps))
        {
            Ignored++;
            return;
        }

        CatalogueEntry entry = before with { Eligibility = eligibility, EligibilityStamps = stamps, Version = before.IsLive ? NextSequence : before.Version };
        Put(entry, withState: true);
        if (entry.IsLive)
        {
            Emit(new IndexDelta { EventTimeMs = change.TimeMs, Eligibility = new EligibilityDelta { ItemId = entry.ItemId, Eligibility = eligibility } });
        }
    }

    /// <summary>Counts one event on each of its items. The deltas come with <see cref="EmitCounts"/>: one per item, however many events it had.</summary>
    public void Count(CounterEvent counted)
    {
        if (window.Contains(counted.Event) || !_newEvents.Add(counted.Event))
        {
            Ignored++;
            return;
        }

        NewEvents.Add(counted.Event);
        // A clock ahead of ours must not move the counts into the future, where they would stand still until then.
        long timeMs = Math.Min(counted.TimeMs, settings.NowMs);
        foreach (string itemId in counted.ItemIds)
        {
            CatalogueEntry entry = Find(itemId) ?? new CatalogueEntry { ItemId = itemId };
            ItemCounters counters = (entry.Counters ?? ItemCounters.Zero).Add((int)counted.Counter, timeMs, settings.HalfLifeMs);
            Put(entry with { Counters = counters }, withState: !entry.IsLive);
            if (!entry.IsLive) continue;

            // Of several events the one that was accepted first: freshness is what the slowest saw.
            _countedRows[itemId] = Math.Min(counted.AcceptedAtMs, _countedRows.GetValueOrDefault(itemId, long.MaxValue));
        }
    }

    /// <summary>One absolute delta for each row that was counted on.</summary>
    public void EmitCounts()
    {
        foreach ((string itemId, long acceptedAtMs) in _countedRows)
        {
            CatalogueEntry entry = Find(itemId)! with { Version = NextSequence };
            Put(entry, withState: false);
            Emit(new IndexDelta { EventTimeMs = acceptedAtMs, Engagement = new EngagementDelta { ItemId = itemId, Counters = entry.Counters!.ToMessage() } });
        }

        _countedRows.Clear();
    }

    /// <summary>The row, where it is there and of another model than the turn's.</summary>
    public CatalogueEntry? FindStale(string itemId) => Find(itemId) is { IsLive: true } row && row.ModelVersion != settings.Model.Version ? row : null;

    /// <summary>Makes rows of another model rows of the turn's, and sends them out whole.</summary>
    public void EncodeAgain(IReadOnlyList<CatalogueEntry> rows)
    {
        foreach (CatalogueEntry row in settings.Model.Encode(rows))
        {
            CatalogueEntry entry = row with { Version = NextSequence };
            Put(entry, withState: false);
            Emit(new IndexDelta { EventTimeMs = entry.ItemStamp?.TimeMs ?? 0, Upserted = entry.ToRow() });
        }
    }

    public void Announce(SnapshotNotice notice) => Emit(new IndexDelta { EventTimeMs = settings.NowMs, Snapshot = notice });

    /// <summary>Forgets an entry without a row.</summary>
    public void Forget(string itemId)
    {
        _overlay.Remove(itemId);
        _forgotten.Add(itemId);
    }

    /// <summary>States that changed, in the order of the last touch. Evicts what is over the limit of orphans, oldest touch first.</summary>
    public List<RowState> States()
    {
        EvictOrphans();
        List<RowState> states = [.. _forgotten.Select(id => new RowState { ItemId = id, Forgotten = true })];
        states.AddRange(InTouchOrder().Where(entry => _withState.Contains(entry.ItemId)).Select(entry => entry.ToState()));
        return states;
    }

    /// <summary>Rows that the catalogue will have more, or fewer, once this turn is committed.</summary>
    public int ItemsGained() =>
        _overlay.Values.Sum(entry => (entry.IsLive ? 1 : 0) - (catalogue.Find(entry.ItemId) is { IsLive: true } ? 1 : 0));

    /// <summary>Puts the turn into the catalogue and the window. Only after everything of it is stored.</summary>
    public void Commit()
    {
        foreach (string id in _forgotten) catalogue.Forget(id);
        foreach (CatalogueEntry entry in InTouchOrder()) catalogue.Set(entry);
        foreach (ulong hash in NewEvents) window.Add(hash);
    }

    private ulong NextSequence => headSequence + (ulong)Deltas.Count + 1;

    private CatalogueEntry? Find(string itemId) =>
        _overlay.TryGetValue(itemId, out CatalogueEntry? entry) ? entry : _forgotten.Contains(itemId) ? null : catalogue.Find(itemId);

    private bool IsOld(CatalogueEntry? before, Stamp stamp)
    {
        if (before?.ItemStamp is not { } last || stamp > last) return false;

        Ignored++;
        return true;
    }

    private void Put(CatalogueEntry entry, bool withState)
    {
        _overlay[entry.ItemId] = entry;
        _lastTouch[entry.ItemId] = _touches++;
        if (withState) _withState.Add(entry.ItemId);
    }

    private void Emit(IndexDelta delta)
    {
        delta.Sequence = NextSequence;
        Deltas.Add(delta);
    }

    private IEnumerable<CatalogueEntry> InTouchOrder() => _overlay.Values.OrderBy(entry => _lastTouch[entry.ItemId]);

    private void EvictOrphans()
    {
        int known = catalogue.OrphanCount - _overlay.Keys.Count(id => catalogue.Find(id) is { IsOrphan: true });
        int excess = known + _overlay.Values.Count(entry => entry.IsOrphan) - settings.OrphansMax;
        if (excess <= 0) return;

        foreach (string id in catalogue.Orphans.Where(id => !_overlay.ContainsKey(id)).Take(excess)) _forgotten.Add(id);
    }
}
