using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>How long a log may grow. Chunks and the tail hold at most <paramref name="ChunkEvents"/> events each.</summary>
internal sealed record LogShape(int ChunkEvents, int EventsMax, int RetentionDays, int EngagedMax, int RecentIdsMax);

/// <summary>
/// One batch on its way into one user's log, between the read of the head and the one transaction that writes everything:
/// admit (drop what is erased, folded or a duplicate), load the old chunks that late events fall into, place, seal, fold.
/// No chunk is changed under its key: readers with an older head find either the old chunk or none, and then read again.
/// </summary>
internal sealed class AppendTurn
{
    private readonly string _user;
    private readonly LogShape _shape;
    private readonly UserHead _head;
    private readonly List<ChunkEntry> _chunks;
    private readonly List<LoggedEvent> _tail;
    private readonly HashSet<ulong> _recent;
    private readonly List<uint> _engaged;
    private readonly Dictionary<string, byte[]?> _writes = new(StringComparer.Ordinal);
    private readonly SortedDictionary<int, List<IncomingEvent>> _admittedByChunk = [];
    private bool _engagedChanged;

    public AppendTurn(string user, LogShape shape, UserHead head, EngagedItems engaged)
    {
        _user = user;
        _shape = shape;
        _head = head;
        _chunks = [.. head.Chunks];
        _tail = [.. EventColumnsCodec.Decode(head.Tail ?? new EventColumns())];
        _recent = [.. head.RecentIds];
        _engaged = [.. engaged.ItemHashes];
    }

    public List<IncomingEvent> Added { get; } = [];

    public int Duplicates { get; private set; }

    /// <summary>Events that went into a chunk that was already sealed.</summary>
    public int Late { get; private set; }

    /// <summary>Events that the user's erasure or the fold horizon came before.</summary>
    public int Expired { get; private set; }

    /// <summary>Sorts out what can be judged by the head alone, and says which chunks the rest falls into.</summary>
    public IReadOnlyList<ChunkEntry> Admit(IEnumerable<IncomingEvent> batch)
    {
        EventKey folded = _head.FoldedLastEventId.IsEmpty ? EventKey.None : new EventKey(_head.FoldedLastMs, EventColumnsCodec.IdAt(_head.FoldedLastEventId, 0));
        foreach (IncomingEvent incoming in batch)
        {
            EventKey key = incoming.Event.Key;
            if (incoming.AcceptedMs <= _head.ErasedAtMs || key.CompareTo(folded) <= 0)
            {
                Expired++;
            }
            else if (!_recent.Add(EventColumnsCodec.Fingerprint(key.Id)))
            {
                Duplicates++;
            }
            else
            {
                int index = ChunkDirectory.IndexFor(_chunks, key);
                if (!_admittedByChunk.TryGetValue(index, out List<IncomingEvent>? admitted)) _admittedByChunk.Add(index, admitted = []);
                admitted.Add(incoming);
            }
        }

        return [.. _admittedByChunk.Keys.Where(index => index < _chunks.Count).Select(index => _chunks[index])];
    }

    /// <summary>Places what was admitted. <paramref name="loaded"/> holds the chunks that <see cref="Admit"/> named.</summary>
    /// <exception cref="InvalidDataException">A chunk of the directory is not in the store.</exception>
    public void Place(IReadOnlyDictionary<string, byte[]> loaded, long nowMs)
    {
        // From the newest chunk to the oldest: a chunk that splits moves only the indexes that are already done with.
        int sealedChunks = _chunks.Count;
        foreach ((int index, List<IncomingEvent> admitted) in _admittedByChunk.Reverse())
        {
            if (index == sealedChunks) Merge(_tail, admitted);
            else PlaceInChunk(index, admitted, loaded);
        }

        if (Added.Count == 0) return;
        SealTail();
        Fold(nowMs);
        RememberEngaged();
    }

    /// <summary>Everything this turn changes, for one transaction. Empty where nothing was added.</summary>
    public IReadOnlyCollection<KeyValuePair<string, byte[]?>> Writes()
    {
        if (Added.Count == 0) return [];

        _head.Version += Added.Count;
        _head.Chunks.Clear();
        _head.Chunks.AddRange(_chunks);
        _head.Tail = EventColumnsCodec.Encode(CollectionsMarshal.AsSpan(_tail));
        _head.RecentIds.AddRange(Added.Select(incoming => EventColumnsCodec.Fingerprint(incoming.Event.Key.Id)));
        KeepNewest(_head.RecentIds, _shape.RecentIdsMax);
        _writes[StateKeys.Head(_user)] = _head.ToByteArray();
        if (_engagedChanged) _writes[StateKeys.Engaged(_user)] = new EngagedItems { ItemHashes = { _engaged } }.ToState();
        return _writes;
    }

    private void PlaceInChunk(int index, List<IncomingEvent> admitted, IReadOnlyDictionary<string, byte[]> loaded)
    {
        ChunkEntry entry = _chunks[index];
        string key = StateKeys.Chunk(_user, entry.ChunkId);
        if (!loaded.TryGetValue(key, out byte[]? bytes)) throw new InvalidDataException($"Chunk {key} is in the directory but not in the store.");

        List<LoggedEvent> events = [.. EventColumnsCodec.Decode(EventColumns.Parser.ParseFrom(bytes))];
        int added = Merge(events, admitted);
        if (added == 0) return;

        Late += added;
        _writes[key] = null;
        _chunks.RemoveAt(index);
        _chunks.InsertRange(index, Seal(CollectionsMarshal.AsSpan(events)));
    }

    // Adds what is not there yet and restores the order. Ids are compared, not keys: the same id never appears twice.
    private int Merge(List<LoggedEvent> events, List<IncomingEvent> admitted)
    {
        HashSet<Ulid> present = [.. events.Select(logged => logged.Key.Id)];
        int before = events.Count;
        foreach (IncomingEvent incoming in admitted)
        {
            if (!present.Add(incoming.Event.Key.Id))
            {
                Duplicates++;
                continue;
            }

            events.Add(incoming.Event);
            Added.Add(incoming);
        }

        if (events.Count > before) events.Sort(LoggedEvent.ByKey);
        return events.Count - before;
    }

    private void SealTail()
    {
        int sealable = (_tail.Count - 1) / _shape.ChunkEvents * _shape.ChunkEvents;
        if (sealable == 0) return;

        _chunks.AddRange(Seal(CollectionsMarshal.AsSpan(_tail)[..sealable]));
        _tail.RemoveRange(0, sealable);
    }

    // Cuts events into chunks of nearly the same size, each under a key that was never used before.
    private List<ChunkEntry> Seal(ReadOnlySpan<LoggedEvent> events)
    {
        var entries = new List<ChunkEntry>();
        int pieces = (events.Length + _shape.ChunkEvents - 1) / _shape.ChunkEvents;
        for (int piece = 0; piece < pieces; piece++)
        {
            int start = events.Length * piece / pieces;
            ReadOnlySpan<LoggedEvent> part = events[start..(events.Length * (piece + 1) / pieces)];
            ChunkEntry entry = ChunkDirectory.EntryOf(_head.NextChunkId++, part);
            _writes[StateKeys.Chunk(_user, entry.ChunkId)] = EventColumnsCodec.Encode(part).ToByteArray();
            entries.Add(entry);
        }

        return entries;
    }

    private void Fold(long nowMs)
    {
        long keepFromMs = _shape.RetentionDays > 0 ? nowMs - (long)TimeSpan.FromDays(_shape.RetentionDays).TotalMilliseconds : long.MinValue;
        long total = _chunks.Sum(chunk => (long)chunk.Count) + _tail.Count;
        int folded = 0;
        while (folded < _chunks.Count && (total > _shape.EventsMax || _chunks[folded].LastMs < keepFromMs))
        {
            ChunkEntry entry = _chunks[folded++];
            total -= entry.Count;
            _head.FoldedLastMs = entry.LastMs;
            _head.FoldedLastEventId = entry.LastEventId;
            _writes[StateKeys.Chunk(_user, entry.ChunkId)] = null;
        }

        _chunks.RemoveRange(0, folded);
    }

    private void RememberEngaged()
    {
        HashSet<uint> known = [.. _engaged];
        foreach (IncomingEvent incoming in Added.Where(incoming => incoming.Event.Action != ActionTaxonomy.Default.ImpressionIndex))
        {
            uint hash = ItemHash.Compute(incoming.Event.ItemId);
            if (!known.Add(hash)) continue;
            _engaged.Add(hash);
            _engagedChanged = true;
        }

        if (_engaged.Count > _shape.EngagedMax) _engaged.RemoveRange(0, _engaged.Count - _shape.EngagedMax);
    }

    private static void KeepNewest(RepeatedField<ulong> ids, int count)
    {
        if (ids.Count <= count) return;

        ulong[] newest = [.. ids.Skip(ids.Count - count)];
        ids.Clear();
        ids.AddRange(newest);
    }
}
