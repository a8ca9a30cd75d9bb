using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Mesh.Retrieval.Index;

/// <summary>One item of an author; the time is the one it was filed under.</summary>
internal readonly record struct RingEntry(long CreatedAtMs, Row Row);

/// <summary>
/// The newest items of each author, newest first: what the in-network source reads. A ring is an immutable array swapped
/// whole (at most 256 entries: 4 KB copied per item), so readers take it without a lock. Past authorsMax the rings read
/// least recently are evicted; a later read of such an author asks the writer to rebuild the ring from the rows.
/// </summary>
internal sealed class AuthorRings(int authorsMax, int ringItemsMax)
{
    private const int WantedMax = 10_000;

    private readonly ConcurrentDictionary<string, Ring> _rings = new(StringComparer.Ordinal);

    // Authors whose ring was evicted and may lack items. Written by the writer, read by every request.
    private readonly ConcurrentDictionary<string, byte> _evicted = new(StringComparer.Ordinal);

    // Evicted authors that a request asked for. Written by requests, emptied by the writer; bounded, and a lost wish is
    // wished again by the next request.
    private readonly ConcurrentDictionary<string, byte> _wanted = new(StringComparer.Ordinal);

    // Kept beside the dictionaries, whose Count and IsEmpty take locks. Written by the writer.
    private int _authors;
    private int _evictedCount;

    public int Authors => Volatile.Read(ref _authors);

    /// <summary>Authors whose ring may lack items until somebody reads it.</summary>
    public int Evicted => Volatile.Read(ref _evictedCount);

    public bool HasWanted => !_wanted.IsEmpty;

    /// <summary>Bytes of the rings: 16 per entry, and about 150 for the ring, its array and its dictionary node.</summary>
    public long Bytes => _rings.Sum(static pair => 16L * pair.Value.Entries.Length + 150) + 100L * Evicted;

    /// <summary>Items of an author, newest first. Rows may be dead or have moved to another author: the reader looks.</summary>
    /// <param name="nowMs">Server time, which orders evictions.</param>
    public RingEntry[] Read(string authorId, long nowMs)
    {
        if (Evicted > 0 && _evicted.ContainsKey(authorId) && _wanted.Count < WantedMax) _wanted.TryAdd(authorId, 0);
        if (!_rings.TryGetValue(authorId, out Ring? ring)) return [];
        ring.LastReadMs = nowMs;
        return ring.Entries;
    }

    /// <summary>Writer only. Files a row under its author, in place of an earlier entry of the same row.</summary>
    public void Add(string authorId, RingEntry entry, long nowMs)
    {
        if (!_rings.TryGetValue(authorId, out Ring? ring))
        {
            if (_authors >= authorsMax) EvictLeastRead();
            _rings[authorId] = ring = new Ring { LastReadMs = nowMs };
            Volatile.Write(ref _authors, _authors + 1);
        }

        ring.Entries = Insert(ring.Entries, entry, authorId);
    }

    /// <summary>
    /// Writer only. Files many rows, in the order of arrival, where there are no rings yet: each is made once. Past authorsMax, the authors
    /// whose newest item is oldest get none until somebody reads them.
    /// </summary>
    public void Fill(IEnumerable<Row> rows, long nowMs)
    {
        var byAuthor = new Dictionary<string, List<RingEntry>>(StringComparer.Ordinal);
        foreach (Row row in rows)
        {
            ItemFacts facts = row.State!.Facts;
            ref List<RingEntry>? entries = ref CollectionsMarshal.GetValueRefOrAddDefault(byAuthor, facts.AuthorId, out _);
            (entries ??= []).Add(new RingEntry(facts.CreatedAtMs, row));
        }

        foreach ((string author, List<RingEntry> entries) in byAuthor)
        {
            entries.Reverse(); // of one time, the later arrival comes first, as Insert has it
            RingEntry[] newest = [.. entries.OrderByDescending(static entry => entry.CreatedAtMs).Take(ringItemsMax)];
            _rings[author] = new Ring { LastReadMs = nowMs, Entries = newest };
        }

        Volatile.Write(ref _authors, _rings.Count);
        if (_authors <= authorsMax) return;
        foreach (string author in _rings.OrderBy(static pair => pair.Value.Entries[0].CreatedAtMs).Take(_authors - authorsMax).Select(static pair => pair.Key).ToList())
        {
            Drop(author);
            Forget(author);
        }
    }

    /// <summary>Writer only. Takes a row out of its author's ring.</summary>
    public void Remove(string authorId, Row row)
    {
        if (!_rings.TryGetValue(authorId, out Ring? ring)) return;
        bool wasFull = ring.Entries.Length == ringItemsMax;
        ring.Entries = Array.FindAll(ring.Entries, entry => entry.Row != row);
        if (wasFull) Forget(authorId); // older items of the author may lie outside the ring and belong in it now
        else if (ring.Entries.Length == 0) Drop(authorId);
    }

    /// <summary>Writer only. Rebuilds the rings that requests asked for, from every live row.</summary>
    /// <returns>Number of authors rebuilt.</returns>
    public int Restore(IEnumerable<KeyValuePair<string, Row>> rows, long nowMs)
    {
        HashSet<string> wanted = [.. _wanted.Keys];

        // Before the rebuilding, which may evict some of them again: those must stay known as incomplete.
        foreach (string author in wanted)
        {
            if (_evicted.TryRemove(author, out _)) Volatile.Write(ref _evictedCount, _evictedCount - 1);
            _wanted.TryRemove(author, out _);
        }

        foreach (KeyValuePair<string, Row> pair in rows)
        {
            if (pair.Value.State is { } state && wanted.Contains(state.Facts.AuthorId))
            {
                Add(state.Facts.AuthorId, new RingEntry(state.Facts.CreatedAtMs, pair.Value), nowMs);
            }
        }

        return wanted.Count;
    }

    private RingEntry[] Insert(RingEntry[] entries, RingEntry entry, string authorId)
    {
        if (entries.Length == ringItemsMax && entries[^1].CreatedAtMs > entry.CreatedAtMs) return entries;

        var kept = new List<RingEntry>(entries.Length + 1);
        bool placed = false;
        foreach (RingEntry held in entries)
        {
            if (!placed && held.CreatedAtMs <= entry.CreatedAtMs)
            {
                kept.Add(entry);
                placed = true;
            }

            if (held.Row != entry.Row && held.Row.State is { } state && state.Facts.AuthorId == authorId) kept.Add(held);
        }

        if (!placed) kept.Add(entry);
        if (kept.Count > ringItemsMax) kept.RemoveRange(ringItemsMax, kept.Count - ringItemsMax);
        return [.. kept];
    }

    // A fiftieth at a time: finding the least read is O(authors), so it must not happen for each new author.
    private void EvictLeastRead()
    {
        int count = Math.Max(1, authorsMax / 50);
        List<(long LastReadMs, string AuthorId)> byRead = [.. _rings.Select(static pair => (pair.Value.LastReadMs, pair.Key))];
        byRead.Sort();
        foreach ((_, string author) in byRead.Take(count))
        {
            Drop(author);
            Forget(author);
        }
    }

    private void Drop(string authorId)
    {
        if (_rings.TryRemove(authorId, out _)) Volatile.Write(ref _authors, _authors - 1);
    }

    // From now on the author's ring counts as incomplete: whoever reads it has it rebuilt.
    private void Forget(string authorId)
    {
        if (_evicted.TryAdd(authorId, 0)) Volatile.Write(ref _evictedCount, _evictedCount + 1);
    }

    private sealed class Ring
    {
        private volatile RingEntry[] _entries = [];
        private long _lastReadMs;

        // Written by the one writer; read by every request.
        public RingEntry[] Entries
        {
            get => _entries;
            set => _entries = value;
        }

        // Written by every reader: the latest wins, and a lost write only makes an eviction a little less exact.
        public long LastReadMs
        {
            get => Volatile.Read(ref _lastReadMs);
            set => Volatile.Write(ref _lastReadMs, value);
        }
    }
}
