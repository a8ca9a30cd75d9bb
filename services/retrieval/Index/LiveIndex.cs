using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Inference;
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
    // Dictionary node, Row, RowState, Counters with its array, Eligibility: about 430 bytes, measured by
    // Index_bytes_agree_with_the_garbage_collector.
    private const long BytesPerRow = 430;

    private readonly IndexLimits _limits;
    private readonly TimeProvider _clock;
    private ConcurrentDictionary<string, Row> _rows; // another only by Fill, before the first reader
    private volatile IndexOrigin _origin;
    private volatile string _modelVersion; // set by the writer before the first row is findable, and then for ever
    private ulong _sequence;
    private long _factsBytes;
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
        Authors = new AuthorRings(limits.AuthorsMax, limits.RingItemsMax);
        Prefixes = new PrefixTable();
        Trending = new TrendingPool(limits.Trending);
    }

    /// <summary>The snapshot that this index has grown from or past. Swapped whole: read it once per answer.</summary>
    public IndexOrigin Origin => _origin;

    /// <summary>That every row is of. Empty only while there is neither a snapshot nor a row.</summary>
    public string ModelVersion => _modelVersion;

    /// <summary>Makes query vectors that this index's vectors are compared with; null where the model has none. To be leased for each use.</summary>
    public UserTower? Tower { get; }

    /// <summary>Writer only. Whether rows of another model went by: the index is whole again only by a snapshot.</summary>
    public bool HasPassedRows { get; private set; }

    public IVectorIndex Vectors { get; }

    public AuthorRings Authors { get; }

    public PrefixTable Prefixes { get; }

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
    /// Writer only. Applies the delta that follows <see cref="Sequence"/>. Applying one again is harmless: values are
    /// absolute, and a row that a later delta has changed already (a snapshot may hold it) is left alone.
    /// </summary>
    /// <param name="reason">Why it was refused; empty otherwise.</param>
    public Applied Apply(IndexDelta delta, out string reason)
    {
        reason = "";
        Applied applied = delta.DeltaCase switch
        {
            IndexDelta.DeltaOneofCase.Upserted => Upsert(delta.Upserted, delta.Sequence, out reason),
            IndexDelta.DeltaOneofCase.DeletedItemId => Delete(delta.DeletedItemId, delta.Sequence),
            IndexDelta.DeltaOneofCase.Engagement => Update(delta.Engagement.ItemId, delta.Sequence,
                state => state.With(delta.Engagement.Counters ?? new Counters(), delta.Sequence)),
            IndexDelta.DeltaOneofCase.Eligibility => Update(delta.Eligibility.ItemId, delta.Sequence,
                state => state.With(delta.Eligibility.Eligibility ?? new Eligibility(), delta.Sequence)),
            _ => Applied.Unchanged,
        };
        Volatile.Write(ref _sequence, delta.Sequence);
        return applied;
    }

    /// <summary>Writer only. Puts a row of a snapshot, whose version is in it.</summary>
    public Applied Load(ItemRow row, out string reason) => Upsert(row, row.Version, out reason);

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

    /// <summary>Writer only. Rebuilds author rings that were evicted and asked for since.</summary>
    public int RestoreAuthors() => Authors.HasWanted ? Authors.Restore(_rows, NowMs()) : 0;

    /// <summary>Whether enough slots are dead for <see cref="Compact"/> to pay.</summary>
    public bool WantsCompaction(double tombstonesMaxShare) =>
        Vectors.Tombstones >= FlatVectorIndex.BlockRows && Vectors.Tombstones > tombstonesMaxShare * Vectors.Slots;

    /// <summary>Writer only. The same index without its dead slots, as a new object: readers of this one keep it as it is.</summary>
    public LiveIndex Compact(int threads = 1)
    {
        var compact = new LiveIndex(Origin, _limits, _clock, Tower) { _sequence = _sequence, _modelVersion = _modelVersion, HasPassedRows = HasPassedRows };
        compact.Fill(LiveRows.Of(this), threads, new LoadTimes());
        return compact;
    }

    private Applied Upsert(ItemRow row, ulong version, out string reason)
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
        if (Find(row.Item.ItemId) is { } held && held.Version >= version && version > 0) return Applied.Unchanged;

        if (_modelVersion.Length == 0) _modelVersion = row.ModelVersion;
        ReadOnlySpan<float> vector = row.Embedding.IsEmpty ? new float[Vectors.Dimensions] : MemoryMarshal.Cast<byte, float>(row.Embedding.Span);
        bool put = Put(new ItemFacts(row.Item, row.Codes), row.Counters ?? new Counters(), row.Eligibility ?? new Eligibility(), version, vector);
        if (put) return Applied.Changed;
        reason = $"all {_limits.SlotsMax} vector slots are in use";
        return Applied.Refused;
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
    private bool Put(ItemFacts facts, Counters counters, Eligibility eligibility, ulong version, ReadOnlySpan<float> vector)
    {
        bool isNew = !_rows.TryGetValue(facts.ItemId, out Row? row);
        row ??= new Row();
        RowState? before = row.State;
        bool keepsSlot = before is not null && Prefix.Of(before.Facts.Codes)?.First == Prefix.Of(facts.Codes)?.First && vector.SequenceEqual(VectorOf(before));
        int slot = keepsSlot ? before!.Slot : Vectors.Upsert(row, facts, eligibility, vector);
        if (slot < 0) return false;

        var state = new RowState(facts, counters, eligibility, version, slot);
        if (keepsSlot) Vectors.Change(row, state);
        else row.State = state;
        if (isNew)
        {
            _rows[facts.ItemId] = row;
            Volatile.Write(ref _items, _items + 1);
        }

        Relist(row, before?.Facts, facts);
        if (before is not null && !keepsSlot) Vectors.Delete(before);
        Vectors.Publish();
        Volatile.Write(ref _factsBytes, _factsBytes + facts.Bytes - (before?.Facts.Bytes ?? 0));
        return true;
    }

    private void Relist(Row row, ItemFacts? before, ItemFacts facts)
    {
        if (before is null || !before.Codes.AsSpan().SequenceEqual(facts.Codes))
        {
            if (before is not null) Prefixes.Remove(row, before.Codes);
            Prefixes.Add(row, facts.Codes);
        }

        if (before is not null && before.AuthorId != facts.AuthorId) Authors.Remove(before.AuthorId, row);
        if (before is null || before.AuthorId != facts.AuthorId || before.CreatedAtMs != facts.CreatedAtMs)
        {
            Authors.Add(facts.AuthorId, new RingEntry(facts.CreatedAtMs, row), NowMs());
        }
    }

    private Applied Delete(string itemId, ulong sequence)
    {
        if (!_rows.TryGetValue(itemId, out Row? row) || row.State is not { } state || state.Version >= sequence) return Applied.Unchanged;

        row.State = null; // from here on no list, block or ring gives the item to a reader
        _rows.TryRemove(itemId, out _);
        Volatile.Write(ref _items, _items - 1);
        Vectors.Delete(state);
        Prefixes.NoteDead(state.Facts.Codes);
        Authors.Remove(state.Facts.AuthorId, row);
        Volatile.Write(ref _factsBytes, _factsBytes - state.Facts.Bytes);
        return Applied.Changed;
    }

    private Applied Update(string itemId, ulong sequence, Func<RowState, RowState> change)
    {
        if (!_rows.TryGetValue(itemId, out Row? row) || row.State is not { } state || state.Version >= sequence) return Applied.Unchanged;
        Vectors.Change(row, change(state));
        return Applied.Changed;
    }

    private long NowMs() => _clock.GetUtcNow().ToUnixTimeMilliseconds();
}

/// <summary>How large an index may grow; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record IndexLimits(int ItemsMax, int AuthorsMax, int RingItemsMax, TrendingShape Trending, IndexKind Kind, ClusterShape Clusters)
{
    /// <summary>Slots for twice the items: compaction runs long before as many are dead as alive.</summary>
    public int SlotsMax => (int)Math.Min(2L * ItemsMax + FlatVectorIndex.BlockRows, Array.MaxLength);

    public static IndexLimits From(RetrievalOptions options) => new(
        options.ItemsMax, options.AuthorsMax, options.RingItemsMax,
        new TrendingShape(options.TrendingPrior, options.TrendingFreshnessHours, options.TrendingPoolMax, options.TrendingRefreshMs),
        options.Index,
        new ClusterShape(
            options.ExactRowsMax, options.ProbesMin, options.RowsPerResult,
            new FilterShape(options.BloomBits, options.BloomHashes, options.FrequentShareMin, options.FrequentValuesMax)));
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
