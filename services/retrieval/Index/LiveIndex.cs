using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>Which snapshot an index grew from. <see cref="None"/> is the empty start.</summary>
internal sealed record IndexOrigin(string Version, string ModelVersion, ulong Sequence, double CounterHalfLifeHours)
{
    public static IndexOrigin None(double counterHalfLifeHours) => new("live", "", 0, counterHalfLifeHours);

    /// <summary>Whether rows of the two are alike: made by one encoder and one set of codebooks, and decayed alike.</summary>
    public bool HasModelOf(IndexOrigin other) =>
        ModelVersion == other.ModelVersion && CounterHalfLifeHours == other.CounterHalfLifeHours;
}

/// <summary>What applying one delta did.</summary>
internal enum Applied
{
    /// <summary>The index changed.</summary>
    Changed,

    /// <summary>Nothing to change: an unknown item, an older version, a notice.</summary>
    Unchanged,

    /// <summary>The row is of another model than the index: the two cannot be compared. The snapshot of its model brings it.</summary>
    OtherModel,

    /// <summary>The item was refused: no room, or a vector that does not fit. The log goes on without it.</summary>
    Refused,
}

/// <summary>
/// The index as a model: the rows of one snapshot version, mutated in place by the delta stream while requests read it.
/// Rows, codes and the user tower are of one model version for the whole life of a LiveIndex: it takes no row of another. A request
/// holds one LiveIndex to its end, so it never mixes versions; a new model comes as a new LiveIndex.
/// One writer calls the methods marked so; everything else is for any thread, without locks (see Row.cs).
/// </summary>
internal sealed partial class LiveIndex
{
    // Dictionary node, Row, RowState, Counters with its array, Eligibility: about 446 bytes, measured by
    // Index_bytes_agree_with_the_garbage_collector.
    private const long BytesPerRow = 446;

    private const int DigestAttempts = 5;

    private readonly IndexLimits _limits;
    private readonly TimeProvider _clock;
    private ConcurrentDictionary<string, Row> _rows; // another only by Fill, before the first reader
    private AbsentItems _absent; // writer only
    private volatile IndexOrigin _origin;
    private volatile string _modelVersion; // set by the writer before the first row is findable, and then for ever
    private ulong _sequence;
    private long _factsBytes;
    private long _restoreNotBefore; // writer only: a timestamp
    private long _restoreTicks;     // writer only: what the pass has taken so far
    private int _items; // ConcurrentDictionary.Count takes every lock of the dictionary

    /// <param name="tower">Of the origin's model; null where it has none. The index's creator disposes of it, by <see cref="Tower"/>.</param>
    public LiveIndex(IndexOrigin origin, IndexLimits limits, TimeProvider clock, UserTower? tower = null)
    {
        _origin = origin;
        _modelVersion = origin.ModelVersion;
        Tower = tower;
        _limits = limits;
        _clock = clock;
        _sequence = origin.Sequence;
        _rows = new ConcurrentDictionary<string, Row>(StringComparer.Ordinal);
        Vectors = limits.Kind == IndexKind.Flat ? new FlatVectorIndex(limits.SlotsMax) : new ClusteredVectorIndex(limits.SlotsMax, limits.Clusters);
        _absent = new AbsentItems(limits.DisorderMax);
        Authors = new AuthorRings(limits.Rings);
        Prefixes = new PrefixTree(limits.PrefixDepthMax, origin.CounterHalfLifeHours * 3_600_000);
        Trending = new TrendingPool(limits.Trending);
    }

    /// <summary>The snapshot that this index has grown from or past. Swapped whole: read it once per answer.</summary>
    public IndexOrigin Origin => _origin;

    /// <summary>That every row is of. Empty only while there is neither a snapshot nor a row.</summary>
    public string ModelVersion => _modelVersion;

    /// <summary>Makes query vectors that this index's vectors are compared with; null where the model has none. To be leased for each use.</summary>
    public UserTower? Tower { get; }

    /// <summary>
    /// Any thread. Checksum of all rows and the newest delta in it, by a pass over them. Null where deltas came meanwhile, several times in turn.
    /// </summary>
    public (ulong Sequence, RowSetDigest Rows)? TryDigest(CancellationToken cancellation)
    {
        for (int attempt = 0; attempt < DigestAttempts; attempt++)
        {
            cancellation.ThrowIfCancellationRequested();
            ulong sequence = Sequence;
            var rows = new RowSetDigest();
            foreach ((_, RowState state) in Vectors.Live()) rows.Add(state.Facts.ItemId, state.Version);
            if (Sequence == sequence) return (sequence, rows);
        }

        return null;
    }

    /// <summary>Writer only. Whether rows of another model went by: the index is whole again only by a snapshot.</summary>
    public bool HasPassedRows { get; private set; }

    public IVectorIndex Vectors { get; }

    public AuthorRings Authors { get; }

    public PrefixTree Prefixes { get; }

    public TrendingPool Trending { get; }

    public double HalfLifeMs => Origin.CounterHalfLifeHours * 3_600_000;

    /// <summary>The newest delta applied; a reader that sees it sees all that it did.</summary>
    public ulong Sequence => Volatile.Read(ref _sequence);

    public int Items => Volatile.Read(ref _items);

    /// <summary>Heap bytes of vectors, rows, texts, rings and prefix lists.</summary>
    public long Bytes => Vectors.Bytes + Authors.Bytes + Prefixes.Bytes + Volatile.Read(ref _factsBytes) + BytesPerRow * Items;

    /// <summary>The item as of now; null where it is unknown or deleted.</summary>
    public RowState? Find(string itemId) => _rows.TryGetValue(itemId, out Row? row) ? row.State : null;

    public ReadOnlySpan<float> VectorOf(RowState state) => Vectors.VectorAt(state.Slot);

    /// <summary>
    /// Writer only. Applies a delta. The stream gives them in order; any order of the same deltas, with repeats, gives the same index, as
    /// values are absolute and each part of a row is the latest there was (<see cref="RowVersions"/>, <see cref="AbsentItems"/>), as long
    /// as none comes later than DisorderMax after its turn. <see cref="Sequence"/> is the newest applied.
    /// </summary>
    /// <param name="reason">Why it was refused; empty otherwise.</param>
    public Applied Apply(IndexDelta delta, out string reason)
    {
        reason = "";
        Applied applied = delta.DeltaCase switch
        {
            IndexDelta.DeltaOneofCase.Upserted => Upsert(delta.Upserted, delta.Sequence, out reason),
            IndexDelta.DeltaOneofCase.DeletedItemId => Delete(delta.DeletedItemId, delta.Sequence),
            IndexDelta.DeltaOneofCase.Engagement => Engage(delta.Engagement, delta.Sequence),
            IndexDelta.DeltaOneofCase.Eligibility => Restrict(delta.Eligibility, delta.Sequence),
            _ => Applied.Unchanged,
        };
        if (delta.Sequence > _sequence) Volatile.Write(ref _sequence, delta.Sequence);
        _absent.Advance(_sequence);
        return applied;
    }

    /// <summary>Writer only. Puts a row of a snapshot, whose version is in it.</summary>
    public Applied Load(ItemRow row, out string reason) => Upsert(row, row.Version, out reason, isOfSnapshot: true);

    /// <summary>
    /// Writer only. Renames the index after a newer snapshot of the same model that it has grown past: it holds that snapshot's
    /// rows and the deltas after them already, so loading the files would give the same index once more.
    /// </summary>
    public void Adopt(IndexOrigin newer)
    {
        if (!newer.HasModelOf(_origin)) throw new ArgumentException($"Snapshot {newer.Version} is of model {newer.ModelVersion}, this index of {_origin.ModelVersion}.", nameof(newer));
        if (newer.Sequence > _sequence) throw new ArgumentException($"Snapshot {newer.Version} is at {newer.Sequence}, this index at {_sequence}.", nameof(newer));
        _origin = newer;
    }

    /// <summary>
    /// Writer only. Drops ring entries past retention, and rebuilds the author rings that were evicted and asked for since: one pass over all
    /// rows for all of them, at most one an interval and a twentieth of the time. Where the writer has other work, the pass goes on with the next call.
    /// </summary>
    /// <returns>Number of authors rebuilt.</returns>
    public int RestoreAuthors(Func<bool>? mustYield = null)
    {
        Authors.Sweep(NowMs());
        if (!Authors.IsRestoring && (!Authors.HasWanted || _clock.GetTimestamp() < _restoreNotBefore)) return 0;

        long started = _clock.GetTimestamp();
        int restored = Authors.Restore(_rows, NowMs(), mustYield);
        long ended = _clock.GetTimestamp();
        _restoreTicks += ended - started;
        if (Authors.IsRestoring) return 0;
        _restoreNotBefore = ended + Math.Max(19 * _restoreTicks, _limits.Rings.RestoreIntervalMs * _clock.TimestampFrequency / 1_000);
        _restoreTicks = 0;
        return restored;
    }

    /// <summary>Whether enough slots are dead for <see cref="CopyAt"/> to pay.</summary>
    public bool WantsCompaction(double tombstonesMaxShare) =>
        Vectors.Tombstones >= FlatVectorIndex.BlockRows && Vectors.Tombstones > tombstonesMaxShare * Vectors.Slots;

    private Applied Upsert(ItemRow row, ulong version, out string reason, bool isOfSnapshot = false)
    {
        reason = "";
        // A row without a model was written before rows named theirs: by that of the snapshot that it follows.
        if (_modelVersion.Length > 0 && row.ModelVersion.Length > 0 && row.ModelVersion != _modelVersion)
        {
            HasPassedRows = true;
            return Applied.OtherModel;
        }

        reason = FaultOf(row);
        if (reason.Length > 0) return Applied.Refused;
        RowState? held = Find(row.Item.ItemId);
        if (held is not null && held.Versions.Facts >= version && version > 0) return Applied.Unchanged;
        AbsentItem? absent = held is null ? _absent.Find(row.Item.ItemId) : null;
        if (absent is not null && absent.DeletedAt >= version) return Applied.Unchanged;
        if (held is null && !isOfSnapshot && _absent.IsForgotten(version)) return Applied.Unchanged;

        if (_modelVersion.Length == 0) _modelVersion = row.ModelVersion;
        ReadOnlySpan<float> vector = row.Embedding.IsEmpty ? new float[Vectors.Dimensions] : MemoryMarshal.Cast<byte, float>(row.Embedding.Span);
        if (Put(Latest(row, version, held, absent), vector))
        {
            if (absent is not null) _absent.Remove(row.Item.ItemId);
            return Applied.Changed;
        }

        reason = $"all {_limits.SlotsMax} vector slots are in use";
        return Applied.Refused;
    }

    // What came after this row's version, and before the row, stays: slot 0 stands for the one to come.
    private static RowState Latest(ItemRow row, ulong version, RowState? held, AbsentItem? absent)
    {
        (Counters Counters, ulong At) counters = held is not null ? (held.Counters, held.Versions.Counters) : (absent?.Counters ?? new Counters(), absent?.CountersAt ?? 0);
        (Eligibility Eligibility, ulong At) eligibility = held is not null
            ? (held.Eligibility, held.Versions.Eligibility)
            : (absent?.Eligibility ?? new Eligibility(), absent?.EligibilityAt ?? 0);
        if (counters.At <= version) counters = (row.Counters ?? new Counters(), version);
        if (eligibility.At <= version) eligibility = (row.Eligibility ?? new Eligibility(), version);
        return new RowState(new ItemFacts(row.Item, row.Codes), counters.Counters, eligibility.Eligibility, new RowVersions(version, counters.At, eligibility.At), 0);
    }

    private string FaultOf(ItemRow row)
    {
        if (row.Item is null || row.Item.ItemId.Length == 0) return "the row names no item";
        if (row.Embedding.Length % sizeof(float) != 0) return $"its embedding is {row.Embedding.Length} bytes, not a multiple of 4";
        int dimensions = row.Embedding.Length / sizeof(float);
        if (dimensions == 0 && Vectors.Dimensions == 0) return "it has no embedding, and no row before it has told the dimensions";
        if (dimensions > 0 && Vectors.Dimensions > 0 && dimensions != Vectors.Dimensions)
        {
            return $"its embedding has {dimensions} dimensions, the index has {Vectors.Dimensions}";
        }

        // One NaN would make every comparison in the heap false and the order of results arbitrary.
        foreach (float value in MemoryMarshal.Cast<byte, float>(row.Embedding.Span))
        {
            if (!float.IsFinite(value)) return "its embedding holds a value that is not finite";
        }

        return Items >= _limits.ItemsMax && !_rows.ContainsKey(row.Item.ItemId) ? $"the index holds its {_limits.ItemsMax} items (ItemsMax)" : "";
    }

    // Order matters: the state is complete and published before any list names the row, and the slot count last. A reader
    // that finds the row anywhere finds all of it.
    private bool Put(RowState latest, ReadOnlySpan<float> vector)
    {
        ItemFacts facts = latest.Facts;
        bool isNew = !_rows.TryGetValue(facts.ItemId, out Row? row);
        row ??= new Row();
        RowState? before = row.State;
        bool keepsSlot = before is not null && Vectors.StaysPut(before.Facts, facts) && vector.SequenceEqual(VectorOf(before));
        int slot = keepsSlot ? before!.Slot : Vectors.Upsert(row, facts, latest.Eligibility, vector);
        if (slot < 0) return false;

        RowState state = latest.At(slot);
        if (keepsSlot) Vectors.Change(row, state);
        else row.State = state;
        if (isNew)
        {
            _rows[facts.ItemId] = row;
            Volatile.Write(ref _items, _items + 1);
        }

        Relist(row, before, state);
        if (before is not null && !keepsSlot) Vectors.Delete(before);
        Vectors.Publish();
        Volatile.Write(ref _factsBytes, _factsBytes + facts.Bytes - (before?.Facts.Bytes ?? 0));
        return true;
    }

    private void Relist(Row row, RowState? stateBefore, RowState state)
    {
        (ItemFacts? before, ItemFacts facts) = (stateBefore?.Facts, state.Facts);
        if (before is not null && before.Codes.AsSpan().SequenceEqual(facts.Codes))
        {
            Prefixes.Change(stateBefore!, state);
        }
        else
        {
            if (before is not null) Prefixes.Remove(row, stateBefore!);
            Prefixes.Add(row, state);
        }

        if (before is not null && before.AuthorId != facts.AuthorId) Authors.Remove(before.AuthorId, NowMs());
        if (before is null || before.AuthorId != facts.AuthorId || before.CreatedAtMs != facts.CreatedAtMs)
        {
            Authors.Add(facts.AuthorId, new RingEntry(facts.CreatedAtMs, row), NowMs());
        }
    }

    private Applied Delete(string itemId, ulong sequence)
    {
        if (!_rows.TryGetValue(itemId, out Row? row) || row.State is not { } state)
        {
            _absent.Delete(itemId, sequence);
            return Applied.Unchanged;
        }

        if (state.Versions.Facts >= sequence) return Applied.Unchanged;
        _absent.Delete(itemId, sequence, state);
        row.State = null; // from here on no list, block or ring gives the item to a reader
        _rows.TryRemove(itemId, out _);
        Volatile.Write(ref _items, _items - 1);
        Vectors.Delete(state);
        Prefixes.Remove(row, state);
        Authors.Remove(state.Facts.AuthorId, NowMs());
        Volatile.Write(ref _factsBytes, _factsBytes - state.Facts.Bytes);
        return Applied.Changed;
    }

    private Applied Engage(EngagementDelta delta, ulong sequence)
    {
        Counters counters = delta.Counters ?? new Counters();
        if (!_rows.TryGetValue(delta.ItemId, out Row? row) || row.State is not { } state) _absent.Engage(delta.ItemId, counters, sequence);
        else if (state.Versions.Counters < sequence) return Change(row, state.With(counters, sequence));
        return Applied.Unchanged;
    }

    private Applied Restrict(EligibilityDelta delta, ulong sequence)
    {
        Eligibility eligibility = delta.Eligibility ?? new Eligibility();
        if (!_rows.TryGetValue(delta.ItemId, out Row? row) || row.State is not { } state) _absent.Restrict(delta.ItemId, eligibility, sequence);
        else if (state.Versions.Eligibility < sequence) return Change(row, state.With(eligibility, sequence));
        return Applied.Unchanged;
    }

    private Applied Change(Row row, RowState after)
    {
        RowState before = row.State!;
        Vectors.Change(row, after);
        Prefixes.Change(before, after);
        return Applied.Changed;
    }

    private long NowMs() => _clock.GetUtcNow().ToUnixTimeMilliseconds();
}

/// <summary>How large an index may grow; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record IndexLimits(int ItemsMax, RingLimits Rings, int PrefixDepthMax, TrendingShape Trending, IndexKind Kind, ClusterShape Clusters, int DisorderMax)
{
    /// <summary>Slots for twice the items: compaction runs long before as many are dead as alive.</summary>
    public int SlotsMax => (int)Math.Min(2L * ItemsMax + FlatVectorIndex.BlockRows, Array.MaxLength);

    public static IndexLimits From(RetrievalOptions options) => new(
        options.ItemsMax, RingLimits.From(options), options.BeamDepth,
        new TrendingShape(options.TrendingPrior, options.TrendingFreshnessHours, options.TrendingPoolMax, options.TrendingRefreshMs),
        options.Index,
        new ClusterShape(
            options.ExactRowsMax, options.ProbesMin, options.RowsPerResult,
            new FilterShape(options.BloomBits, options.BloomHashes, options.FrequentShareMin, options.FrequentValuesMax) { MaskBytesMax = (long)options.FilterMaskMegabytesMax << 20 },
            options.CoarseLevels, options.ClustersMax)
        {
            FarShareMax = options.FarShareMax,
            Threads = options.SearchThreadsMax,
        },
        options.ReorderMax);
}

/// <summary>The one mutable point: which index requests take. Null until the first is ready.</summary>
internal sealed class IndexHolder
{
    // Written by the writer when an index is swapped in; read once by every request.
    private volatile LiveIndex? _current;

    public LiveIndex? Current
    {
        get => _current;
        set => _current = value;
    }

    /// <summary>The index, its tower kept open until the lease is disposed of: a model that goes live meanwhile closes the tower of the one before.</summary>
    public IndexLease? Lease()
    {
        while (_current is { } index)
        {
            if (index.Tower is null || index.Tower.TryLease()) return new IndexLease(index);
            // Its tower is being closed, as its successor is in place already.
        }

        return null;
    }
}

/// <summary>One use of an index and its tower, by one request.</summary>
internal sealed class IndexLease(LiveIndex index) : IDisposable
{
    public LiveIndex Index => index;

    public void Dispose() => index.Tower?.Return();
}
