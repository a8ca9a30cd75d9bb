using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Mesh.Retrieval.Index;

/// <summary>One item of an author; the time is the one it was filed under.</summary>
internal readonly record struct RingEntry(long CreatedAtMs, Row Row);

/// <summary>How much the rings may hold; see <see cref="RetrievalOptions"/>.</summary>
/// <param name="BytesMax">Of all rings together, as <see cref="AuthorRings.RingBytes"/> counts them.</param>
/// <param name="RetentionMs">Age past which an item leaves its ring; 0 = never.</param>
/// <param name="RestoreIntervalMs">Time between two passes over all rows that bring evicted rings back.</param>
internal sealed record RingLimits(int AuthorsMax, int ItemsMax, long BytesMax, long RetentionMs, int RestoreIntervalMs)
{
    public static RingLimits From(RetrievalOptions options) => new(
        options.AuthorsMax, options.RingItemsMax, options.RingMegabytesMax * 1_048_576L, (long)(options.InNetworkRetentionHours * 3_600_000), options.RingRestoreIntervalMs);
}

/// <summary>
/// The newest items of each author, newest first: what the in-network source reads. A ring is an immutable array swapped
/// whole (at most 256 entries: 4 KB copied per item), so readers take it without a lock. A deleted item stays as a tombstone, which readers
/// skip, until a quarter of its ring is dead. Past the limits of authors and of bytes the rings read
/// least recently are evicted; a later read of such an author asks the writer to rebuild the ring from the rows.
/// </summary>
internal sealed class AuthorRings(RingLimits limits)
{
    private const int WantedMax = 2_000; // rebuilt at once, at the end of a pass
    private const int ForgottenMax = 1_000_000;
    private const int SweepMinMs = 60_000;

    /// <summary>Rows of a pass between two looks at whether the writer is needed elsewhere: under 5 ms.</summary>
    public const int YieldRows = 8_192;

    private readonly ConcurrentDictionary<string, Ring> _rings = new(StringComparer.Ordinal);

    // Authors whose ring was evicted and may lack items. Written by the writer, read by every request.
    private readonly ConcurrentDictionary<string, byte> _evicted = new(StringComparer.Ordinal);

    // Evicted authors that a request asked for. Written by requests, emptied by the writer; bounded, and a lost wish is
    // wished again by the next request.
    private readonly ConcurrentDictionary<string, byte> _wanted = new(StringComparer.Ordinal);

    // Kept beside the dictionaries, whose Count and IsEmpty take locks. Written by the writer.
    private int _authors;
    private int _evictedCount;
    private long _bytes;

    // So many were evicted that their names were let go: any author without a ring may have items. Set by the writer, for ever.
    private volatile bool _hasLostNames;

    private long _sweptAtMs; // writer only
    private Pass? _pass;     // writer only: over the rows, for what was asked for when it began

    public int Authors => Volatile.Read(ref _authors);

    /// <summary>Authors whose ring may lack items until somebody reads it.</summary>
    public int Evicted => Volatile.Read(ref _evictedCount);

    public bool HasWanted => !_wanted.IsEmpty;

    /// <summary>Writer only. Whether a pass over the rows has begun and not ended.</summary>
    public bool IsRestoring => _pass is not null;

    /// <summary>Bytes of the rings and of the names of evicted authors. Counted by the writer as they change, so asking costs nothing.</summary>
    public long Bytes => Volatile.Read(ref _bytes) + (100L * Evicted);

    /// <summary>Bytes of a ring: 16 per entry; the ring, its array and its dictionary node take about 130.</summary>
    public static long RingBytes(int entries) => 130 + (16L * entries);

    /// <summary>
    /// Items of an author, newest first. Rows may be dead or have moved to another author: the reader looks. At most a quarter of them are
    /// (of a ring of under 8, none).
    /// </summary>
    /// <param name="nowMs">Server time, which orders evictions.</param>
    public RingEntry[] Read(string authorId, long nowMs)
    {
        bool isHere = _rings.TryGetValue(authorId, out Ring? ring);
        bool mayLack = (Evicted > 0 && _evicted.ContainsKey(authorId)) || (!isHere && _hasLostNames);
        if (mayLack && _wanted.Count < WantedMax) _wanted.TryAdd(authorId, 0);
        if (!isHere) return [];
        ring!.LastReadMs = nowMs;
        return ring.Entries;
    }

    /// <summary>Writer only. Files a row under its author, in place of an earlier entry of the same row.</summary>
    public void Add(string authorId, RingEntry entry, long nowMs)
    {
        if (entry.CreatedAtMs < OldestMs(nowMs)) return;
        bool isHere = _rings.TryGetValue(authorId, out Ring? ring);
        RingEntry[] entries = Insert(isHere ? ring!.Entries : [], entry, authorId, OldestMs(nowMs));
        if (isHere) Replace(authorId, ring!, entries, OldestMs(nowMs));
        else Create(authorId, entries, nowMs);
    }

    /// <summary>
    /// Writer only. Files many rows, in the order of arrival, where there are no rings yet: each is made once. Past the limits, the authors
    /// whose newest item is oldest get none until somebody reads them.
    /// </summary>
    public void Fill(IEnumerable<Row> rows, long nowMs)
    {
        var byAuthor = new Dictionary<string, List<RingEntry>>(StringComparer.Ordinal);
        foreach (Row row in rows)
        {
            ItemFacts facts = row.State!.Facts;
            if (facts.CreatedAtMs < OldestMs(nowMs)) continue;
            ref List<RingEntry>? entries = ref CollectionsMarshal.GetValueRefOrAddDefault(byAuthor, facts.AuthorId, out _);
            (entries ??= []).Add(new RingEntry(facts.CreatedAtMs, row));
        }

        long bytes = 0;
        foreach ((string author, List<RingEntry> entries) in byAuthor)
        {
            RingEntry[] newest = Newest(entries);
            _rings[author] = new Ring { LastReadMs = nowMs, Entries = newest };
            bytes += RingBytes(newest.Length);
        }

        Volatile.Write(ref _authors, byAuthor.Count);
        Volatile.Write(ref _bytes, bytes);
        if (IsOver(0, 0)) Evict([.. _rings.OrderBy(static pair => pair.Value.Entries[0].CreatedAtMs).Select(static pair => pair.Key)], limits.AuthorsMax, limits.BytesMax);
    }

    /// <summary>Writer only. A row of the author was deleted, or has moved to another one: its entry is a tombstone from now on.</summary>
    public void Remove(string authorId, long nowMs)
    {
        if (!_rings.TryGetValue(authorId, out Ring? ring)) return;
        ring.Dead++;
        if (ring.Entries.Length >= 8 && 4 * ring.Dead < ring.Entries.Length) return;
        Clean(authorId, ring, OldestMs(nowMs));
    }

    /// <summary>Writer only. Drops the entries past retention, of authors who post no more: every minute, or a hundredth of the retention where that is longer.</summary>
    public void Sweep(long nowMs)
    {
        if (limits.RetentionMs == 0 || nowMs - _sweptAtMs < Math.Max(SweepMinMs, limits.RetentionMs / 100)) return;
        _sweptAtMs = nowMs;
        foreach ((string author, Ring ring) in _rings)
        {
            if (ring.Entries[^1].CreatedAtMs < OldestMs(nowMs)) Clean(author, ring, OldestMs(nowMs));
        }
    }

    /// <summary>
    /// Writer only. Rebuilds the rings that requests asked for, all in one pass over the rows. A pass that must yield goes on with the next call;
    /// until it ends the authors count as incomplete, and what is filed meanwhile is in their rings and stays there.
    /// </summary>
    /// <param name="mustYield">Asked every <see cref="YieldRows"/> rows; never yields where it is null.</param>
    /// <returns>Number of authors rebuilt; 0 where the pass has not ended.</returns>
    public int Restore(IEnumerable<KeyValuePair<string, Row>> rows, long nowMs, Func<bool>? mustYield = null)
    {
        _pass ??= new Pass(Wishes(), rows.GetEnumerator());
        for (int looked = 1; _pass.Rows.MoveNext(); looked++)
        {
            Row row = _pass.Rows.Current.Value;
            if (row.State is { } state && _pass.Wanted.TryGetValue(state.Facts.AuthorId, out HashSet<Row>? theirs)) theirs.Add(row);
            if (looked % YieldRows == 0 && mustYield is not null && mustYield()) return 0;
        }

        Dictionary<string, HashSet<Row>> restored = _pass.Wanted;
        _pass.Rows.Dispose();
        _pass = null;

        // Before the rebuilding, which may evict some of them again: those must stay known as incomplete.
        foreach (string author in restored.Keys)
        {
            if (_evicted.TryRemove(author, out _)) Volatile.Write(ref _evictedCount, _evictedCount - 1);
            _wanted.TryRemove(author, out _);
        }

        foreach ((string author, HashSet<Row> theirs) in restored) Rebuild(author, theirs, nowMs);
        return restored.Count;
    }

    private Dictionary<string, HashSet<Row>> Wishes()
    {
        var wanted = new Dictionary<string, HashSet<Row>>(StringComparer.Ordinal);
        foreach (string author in _wanted.Keys) wanted[author] = [];
        return wanted;
    }

    private void Rebuild(string authorId, HashSet<Row> rows, long nowMs)
    {
        bool isHere = _rings.TryGetValue(authorId, out Ring? ring);
        foreach (RingEntry held in isHere ? ring!.Entries : []) rows.Add(held.Row);
        var entries = new List<RingEntry>(rows.Count);
        foreach (Row row in rows)
        {
            if (row.State is not { } state || state.Facts.AuthorId != authorId || state.Facts.CreatedAtMs < OldestMs(nowMs)) continue; // it may have changed since
            entries.Add(new RingEntry(state.Facts.CreatedAtMs, row));
        }

        if (entries.Count == 0) return;
        if (isHere) Replace(authorId, ring!, Newest(entries), OldestMs(nowMs));
        else Create(authorId, Newest(entries), nowMs);
    }

    private long OldestMs(long nowMs) => limits.RetentionMs > 0 ? nowMs - limits.RetentionMs : long.MinValue;

    // Of one time, the later arrival comes first, as Insert has it.
    private RingEntry[] Newest(List<RingEntry> entries)
    {
        entries.Reverse();
        return [.. entries.OrderByDescending(static entry => entry.CreatedAtMs).Take(limits.ItemsMax)];
    }

    private RingEntry[] Insert(RingEntry[] entries, RingEntry entry, string authorId, long oldestMs)
    {
        if (entries.Length == limits.ItemsMax && entries[^1].CreatedAtMs > entry.CreatedAtMs) return entries;

        var kept = new List<RingEntry>(entries.Length + 1);
        bool placed = false;
        foreach (RingEntry held in entries)
        {
            if (!placed && held.CreatedAtMs <= entry.CreatedAtMs)
            {
                kept.Add(entry);
                placed = true;
            }

            if (held.Row != entry.Row && Belongs(held, authorId, oldestMs)) kept.Add(held);
        }

        if (!placed) kept.Add(entry);
        if (kept.Count > limits.ItemsMax) kept.RemoveRange(limits.ItemsMax, kept.Count - limits.ItemsMax);
        return [.. kept];
    }

    private void Clean(string authorId, Ring ring, long oldestMs)
    {
        RingEntry[] kept = Array.FindAll(ring.Entries, entry => Belongs(entry, authorId, oldestMs));
        Replace(authorId, ring, kept, oldestMs);
        if (kept.Length == 0) Drop(authorId);
    }

    private static bool Belongs(RingEntry entry, string authorId, long oldestMs) =>
        entry.CreatedAtMs >= oldestMs && entry.Row.State is { } state && state.Facts.AuthorId == authorId;

    private void Create(string authorId, RingEntry[] entries, long nowMs)
    {
        MakeRoom(authorId, 1, RingBytes(entries.Length));
        _rings[authorId] = new Ring { LastReadMs = nowMs, Entries = entries };
        Volatile.Write(ref _authors, _authors + 1);
        Volatile.Write(ref _bytes, _bytes + RingBytes(entries.Length));
    }

    // A ring that was full and is not any more: older items of the author may lie outside it and belong in it now, unless they are past retention as
    // the oldest that was in it is.
    private void Replace(string authorId, Ring ring, RingEntry[] entries, long oldestMs)
    {
        long growth = RingBytes(entries.Length) - RingBytes(ring.Entries.Length);
        if (growth > 0) MakeRoom(authorId, 0, growth);
        if (ring.Entries.Length == limits.ItemsMax && entries.Length < limits.ItemsMax && ring.Entries[^1].CreatedAtMs >= oldestMs) Forget(authorId);
        if (ring.Entries != entries) ring.Dead = 0;
        ring.Entries = entries;
        Volatile.Write(ref _bytes, _bytes + growth);
    }

    private bool IsOver(int authors, long bytes) => _authors + authors > limits.AuthorsMax || _bytes + bytes > limits.BytesMax;

    // A fiftieth at a time: finding the least read is O(authors), so it must not happen for each new item.
    private void MakeRoom(string authorId, int authors, long bytes)
    {
        if (!IsOver(authors, bytes)) return;
        KeyValuePair<string, Ring>[] others = [.. _rings.Where(pair => pair.Key != authorId)];
        long[] reads = [.. others.Select(static pair => pair.Value.LastReadMs)];
        Array.Sort(reads, others); // by the number alone: comparing names where it is equal took most of the time
        Evict(
            others.Select(static pair => pair.Key), Math.Min(limits.AuthorsMax - authors, limits.AuthorsMax - (limits.AuthorsMax / 50)),
            limits.BytesMax - Math.Max(bytes, limits.BytesMax / 50));
    }

    private void Evict(IEnumerable<string> inTurn, int authorsMax, long bytesMax)
    {
        foreach (string author in inTurn)
        {
            if (_authors <= authorsMax && _bytes <= bytesMax) return;
            Drop(author);
            Forget(author);
        }
    }

    private void Drop(string authorId)
    {
        if (!_rings.TryRemove(authorId, out Ring? ring)) return;
        Volatile.Write(ref _authors, _authors - 1);
        Volatile.Write(ref _bytes, _bytes - RingBytes(ring.Entries.Length));
    }

    // From now on the author's ring counts as incomplete: whoever reads it has it rebuilt.
    private void Forget(string authorId)
    {
        if (_evictedCount >= ForgottenMax)
        {
            _hasLostNames = true;
            _evicted.Clear();
            Volatile.Write(ref _evictedCount, 0);
        }

        if (_evicted.TryAdd(authorId, 0)) Volatile.Write(ref _evictedCount, _evictedCount + 1);
    }

    private sealed record Pass(Dictionary<string, HashSet<Row>> Wanted, IEnumerator<KeyValuePair<string, Row>> Rows);

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

        /// <summary>Writer only. Tombstones among the entries, as far as noted.</summary>
        public int Dead { get; set; }

        // Written by every reader: the latest wins, and a lost write only makes an eviction a little less exact.
        public long LastReadMs
        {
            get => Volatile.Read(ref _lastReadMs);
            set => Volatile.Write(ref _lastReadMs, value);
        }
    }
}
