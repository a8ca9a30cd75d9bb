// What a search may count on beside the rules of Row.cs:
//
// 1. Slots are numbered in the order in which vectors came, and a slot that a row has left knows the one that came after. A search
//    takes the number published at its start: of all slots of a row it looks at the last below, so each row is found once.
// 2. The slot that a row has left stays alive until every search that began before has ended (GracePeriod). A deleted row's
//    slot dies at once.
// 3. Filter rows, bytes and centroids only choose which slots are looked at. What is returned has passed the filter on its
//    RowState, with the score of its vector.
using System.Numerics;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>How an index of clusters searches; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record ClusterShape(int ExactRowsMax, int ProbesMin, int RowsPerResult, FilterShape Filter, int CoarseLevels, int ClustersMax)
{
    /// <summary>Share of the results that the farther half of the clusters may give before twice as many are probed; 1: however many.</summary>
    public double FarShareMax { get; init; } = 1;

    /// <summary>Threads that one search may use.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>Whether filters that come again find the masks of their last search.</summary>
    public bool KeepsMasks { get; init; } = true;
}

/// <summary>
/// Vectors by cluster (the first codes of the semantic ID, see <see cref="ClusterTable"/>), in segments with filter rows. Where few rows are expected to pass the
/// filter all of them are scored exactly; otherwise the nearest clusters are scanned as bytes and the best of them scored again
/// (<see cref="ClusteredSearch"/>). A row costs 4 bytes a dimension for the vector, 1 for the scan once there is one, 128 for
/// Bloom rows by default, up to 128 for exact rows, and 32 for its places; room to grow adds as much again at most in clusters that were filled row by row.
/// </summary>
internal sealed partial class ClusteredVectorIndex : IVectorIndex, IFiltered
{
    private const int BlockSlots = 4_096;

    private const int QueriesMax = 64;

    private const int SegmentBytes = 8 + 4 + 24; // in the arrays by number

    private readonly ClusterShape _shape;
    private readonly int _slotsMax;
    private readonly int[]?[] _places;                               // of slots, in blocks: segment number and place in it
    private readonly ClusterTable _clusters;
    private readonly RowSignature _signature = new(), _before = new();   // writer only
    private readonly GracePeriod _grace = new();
    private readonly CoarseTable _coarse = new();
    private readonly List<(FilterChunk Filter, VectorChunk Vectors)> _chunks = []; // writer only; the two have the same slots

    // Written by the writer; read by every request. Replaced whole, or appended to before their count is seen.
    private volatile Segment[] _segments = new Segment[16];
    private volatile SegmentSpan[] _spans = new SegmentSpan[16];
    private int _segmentCount;
    private int _dimensions;
    private int _published;
    private int _tombstones;
    private float _scale; // of bytes; 0 while every search is exact
    private long _bytes;

    // Writer only. Slots that rows have left: in the epoch of now, and in the one before.
    private List<RowState> _left = [], _leaving = [];
    private int _slots;

    public ClusteredVectorIndex(int slotsMax, ClusterShape shape)
    {
        _slotsMax = slotsMax;
        _shape = shape;
        _places = new int[]?[(slotsMax + BlockSlots - 1) / BlockSlots];
        Filters = new FilterRows(shape.Filter);
        _clusters = new ClusterTable(shape.CoarseLevels, shape.ClustersMax);
        _bytes = 8L * _places.Length;
    }

    public int Dimensions => Volatile.Read(ref _dimensions);

    public int Slots => Volatile.Read(ref _published);

    public int Tombstones => Volatile.Read(ref _tombstones);

    public long Bytes => Volatile.Read(ref _bytes) + Filters.Bytes + _coarse.Bytes + _clusters.Bytes;

    /// <summary>Which filter value has which row.</summary>
    public FilterRows Filters { get; }

    /// <summary>Clusters that hold rows, or did, by ordinal: a longer list at each look.</summary>
    public ReadOnlySpan<Cluster> Clusters => _clusters.All;

    /// <summary>The cluster of rows without codes; null where there never was one.</summary>
    public Cluster? WithoutCodes => _clusters.WithoutCodes;

    /// <summary>Segments by number.</summary>
    public ReadOnlySpan<Segment> Segments
    {
        get
        {
            int count = Volatile.Read(ref _segmentCount);
            return _segments.AsSpan(0, count);
        }
    }

    /// <summary>Where segments lie, by number; as long as <see cref="Segments"/> was at least.</summary>
    public SegmentSpan[] Spans => _spans;

    /// <summary>Width of one step of the bytes; 0 while there are none.</summary>
    public float Scale => Volatile.Read(ref _scale);

    public ClusterShape Shape => _shape;

    /// <summary>Centroids of the clusters by ordinal, as bytes; empty while every search is exact.</summary>
    public CoarseTable Coarse => _coarse;

    public int Upsert(Row row, ItemFacts facts, Eligibility eligibility, ReadOnlySpan<float> vector)
    {
        if (_slots == _slotsMax) return -1;
        if (_dimensions == 0) Volatile.Write(ref _dimensions, vector.Length);
        if (vector.Length != _dimensions) throw new ArgumentException($"A vector has {vector.Length} dimensions, the index {_dimensions}.", nameof(vector));

        int slot = _slots++;
        Cluster cluster = ClusterOf(_clusters.PrefixOf(facts.Codes));
        int place = Take(cluster);
        Segment segment = _segments[place >> Segment.PlaceBits];
        segment.Put(place % Segment.RowsMax, row, slot, facts.Hash, vector, _scale);
        if (_places[slot / BlockSlots] is null)
        {
            _places[slot / BlockSlots] = new int[BlockSlots];
            Grew(4 * BlockSlots);
        }

        _places[slot / BlockSlots]![slot % BlockSlots] = place;
        Filters.Sign(facts, eligibility, _signature);
        segment.Filter.Put(place % Segment.RowsMax, _signature);
        Filters.Account(_signature, +1);
        Account(cluster, vector, +1);
        return slot;
    }

    public bool StaysPut(ItemFacts before, ItemFacts after) => _clusters.PrefixOf(before.Codes) == _clusters.PrefixOf(after.Codes);

    public void Publish()
    {
        Volatile.Write(ref _published, _slots);
        if (_left.Count + _leaving.Count > 0) EndGrace();
        Filters.GoOn(this);
        if (_scale == 0 && _slots > _shape.ExactRowsMax) Quantize();
    }

    public void Change(Row row, RowState after)
    {
        RowState before = row.State!;
        if (ReferenceEquals(before.Facts, after.Facts) && before.Eligibility.Hidden == after.Eligibility.Hidden
            && string.Equals(before.Eligibility.Safety, after.Eligibility.Safety, StringComparison.OrdinalIgnoreCase))
        {
            row.State = after;
            return;
        }

        Filters.Catch(this, before);
        Filters.Sign(before.Facts, before.Eligibility, _before);
        Filters.Account(_before, -1);
        Filters.SignWidest(before.Facts, before.Eligibility, _before);
        Filters.Sign(after.Facts, after.Eligibility, _signature);
        Filters.Account(_signature, +1);
        int place = PlaceOf(after.Slot);
        _segments[place >> Segment.PlaceBits].Filter.Change(place % Segment.RowsMax, _before, _signature, row, after);
    }

    public void Delete(RowState state)
    {
        int place = PlaceOf(state.Slot);
        Segment segment = _segments[place >> Segment.PlaceBits];
        Filters.Catch(this, state);
        Filters.Sign(state.Facts, state.Eligibility, _before);
        Filters.Account(_before, -1);
        Account(segment.Cluster, VectorAt(state.Slot), -1);
        Volatile.Write(ref _tombstones, _tombstones + 1);
        if (segment[place % Segment.RowsMax].Row.State is { } now)
        {
            segment.Leave(place % Segment.RowsMax, now.Slot);
            _left.Add(state);
        }
        else
        {
            segment.Filter.Kill(place % Segment.RowsMax);
        }
    }

    public ReadOnlySpan<float> VectorAt(int slot)
    {
        int place = PlaceOf(slot);
        return _segments[place >> Segment.PlaceBits].Vector(place % Segment.RowsMax);
    }

    public List<RowHit> Search(QueryVectors queries, int k, RowFilter filter, CancellationToken cancellation) => Search(queries, k, filter, _shape, cancellation);

    /// <summary>The same with a shape of its own, so that a sweep needs one index. Its filter part is the index's, whatever it says.</summary>
    internal List<RowHit> Search(QueryVectors queries, int k, RowFilter filter, ClusterShape shape, CancellationToken cancellation)
    {
        // A word of bits says which query looks at a segment; who asks for more has the best of each 64.
        if (queries.Count > QueriesMax) return [.. queries.Parts(QueriesMax).SelectMany(part => Search(part, k, filter, shape, cancellation)).OrderDescending().DistinctBy(hit => hit.Row).Take(k)];
        return k == 0 || queries.Count == 0 || queries.Dimensions != Dimensions ? [] : Within(shape.Threads, (scratch, team, slots) => new ClusteredSearch(this, shape, queries, k, filter, slots, scratch, team, cancellation).Run());
    }

    public List<RowHit>[] SearchEach(QueryVectors queries, int k, RowFilter filter, CancellationToken cancellation) => SearchEach(queries, k, filter, _shape, cancellation);

    internal List<RowHit>[] SearchEach(QueryVectors queries, int k, RowFilter filter, ClusterShape shape, CancellationToken cancellation)
    {
        if (queries.Count > QueriesMax) return [.. queries.Parts(QueriesMax).SelectMany(part => SearchEach(part, k, filter, shape, cancellation))];
        if (queries.Count == 1 || k == 0 || queries.Dimensions != Dimensions) return [.. queries.Each().Select(one => Search(one, k, filter, shape, cancellation))];

        List<RowHit>?[] found = Within(shape.Threads, (scratch, team, slots) => new ClusteredSearch(this, shape, queries, k, filter, slots, scratch, team, cancellation).RunEach());
        return [.. queries.Each().Select((one, q) => found[q] ?? Search(one, k, filter, shape, cancellation))];
    }

    public double Expected(RowFilter filter) => BitPlan.For(filter.Plan, Filters).PassShare * Filters.Count(FilterBits.LiveRow);

    public List<Seen>? Admitted(RowFilter filter, int most, CancellationToken cancellation) => Within(threads: 1, (scratch, _, slots) =>
    {
        scratch.Admission.Begin(this, filter, BitPlan.For(filter.Plan, Filters), _shape.KeepsMasks, slots);
        return scratch.Admission.TakeAll(most, scratch.Places, cancellation);
    });

    // The slots are those published when the search began.
    private T Within<T>(int threads, Func<SearchScratch, SearchTeam?, int, T> search)
    {
        int entered = _grace.Enter(); // before the slots are counted
        SearchScratch scratch = SearchScratch.Rent();
        SearchTeam.Enter();
        SearchTeam? team = threads > 1 ? SearchTeam.TryForm(threads) : null;
        try
        {
            return search(scratch, team, Slots);
        }
        finally
        {
            team?.End();
            SearchTeam.Leave();
            scratch.Return();
            _grace.Leave(entered);
        }
    }

    public IEnumerable<Seen> Live()
    {
        int slots = Slots;
        for (int slot = 0; slot < slots; slot++)
        {
            int place = PlaceOf(slot);
            Segment segment = _segments[place >> Segment.PlaceBits];
            Place held = segment[place % Segment.RowsMax];
            if (held.Row.State is { } state && held.IsHere(slots)) yield return new Seen(held.Row, state);
        }
    }

    int IFiltered.Slots => _slots;

    int IFiltered.Chunks => _chunks.Count;

    RowState? IFiltered.LiveAt(int slot)
    {
        int place = PlaceOf(slot);
        return _segments[place >> Segment.PlaceBits][place % Segment.RowsMax].Row.State is { } state && state.Slot == slot ? state : null;
    }

    RowState[] IFiltered.Left() => [.. _left, .. _leaving];

    void IFiltered.GrowExact(int chunk, int rows)
    {
        FilterChunk filter = _chunks[chunk].Filter;
        Grew(-filter.Bytes);
        filter.GrowExact(rows);
        Grew(filter.Bytes);
    }

    bool IFiltered.Backfill(int slot, int row)
    {
        int place = PlaceOf(slot);
        return _segments[place >> Segment.PlaceBits].Filter.Backfill(place % Segment.RowsMax, row);
    }

    private int PlaceOf(int slot) => _places[slot / BlockSlots]![slot % BlockSlots];

    private Cluster ClusterOf(CodePrefix prefix)
    {
        int held = _clusters.All.Length;
        Cluster cluster = _clusters.Of(prefix, _dimensions);
        if (_clusters.All.Length > held) Grew(cluster.Bytes);
        return cluster;
    }

    private void Account(Cluster cluster, ReadOnlySpan<float> vector, int by)
    {
        if (cluster.Account(vector, by) && _scale > 0) _coarse.Put(cluster.Ordinal, cluster.Centroid, _scale);
    }

    // The next free place of a cluster. Where its last segment is full another as large as all of them follows: half of the room stays empty
    // at most, and no row ever moves.
    private int Take(Cluster cluster)
    {
        int last = cluster.Segments.Length > 0 ? cluster.Segments[^1] : -1;
        if (last < 0 || cluster.TailRows == _segments[last].Capacity)
        {
            int held = 0;
            foreach (int number in cluster.Segments) held += _segments[number].Capacity;
            last = Append(NewSegment(cluster, Segment.RoomFor(held), _slots));
            cluster.Append(last);
            cluster.TailRows = 0;
        }

        return (last << Segment.PlaceBits) + cluster.TailRows++;
    }

    // Chunks are as large as the index, within limits; what is left of one when the next begins stays empty.
    private Segment NewSegment(Cluster cluster, int slots, int rows)
    {
        if (_chunks.Count > 0 && _chunks[^1].Filter.TryTake(slots) is { } bits) return new Segment(cluster, bits, _chunks[^1].Vectors);

        int most = Math.Min(FilterChunk.SlotsMax, VectorChunk.SlotsMax(_dimensions));
        int room = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(rows, Segment.RowsMax, most));
        var filter = new FilterChunk(_chunks.Count, _chunks.Sum(static held => held.Filter.Words), room, _shape.Filter.BloomBits, Filters.Capacity);
        var vectors = new VectorChunk(room, _dimensions);
        if (_scale > 0) vectors.Quantize(_scale, taken: 0);
        Grew(filter.Bytes + vectors.Bytes);
        _chunks.Add((filter, vectors));
        return new Segment(cluster, filter.TryTake(slots)!, vectors);
    }

    private int Append(Segment segment)
    {
        if (_segmentCount == _segments.Length)
        {
            Segment[] longer = new Segment[2 * _segments.Length];
            _segments.CopyTo(longer, 0);
            _segments = longer;
            SegmentSpan[] spans = new SegmentSpan[longer.Length];
            _spans.CopyTo(spans, 0);
            _spans = spans;
        }

        _segments[_segmentCount] = segment;
        _spans[_segmentCount] = segment.Span;
        Grew(segment.Bytes + SegmentBytes);
        Volatile.Write(ref _segmentCount, _segmentCount + 1);
        return _segmentCount - 1;
    }

    // Slots left in the epoch before the last are out of every search's reach once its searches are gone.
    private void EndGrace()
    {
        if (!_grace.TryAdvance()) return;
        foreach (RowState state in _leaving)
        {
            int place = PlaceOf(state.Slot);
            _segments[place >> Segment.PlaceBits].Filter.Kill(place % Segment.RowsMax);
        }

        _leaving.Clear();
        (_leaving, _left) = (_left, _leaving);
    }

    private void Quantize()
    {
        float scale = ScaleOf(_slots, VectorAt, new ParallelOptions { MaxDegreeOfParallelism = 1 });
        if (scale == 0) return;

        foreach ((FilterChunk filter, VectorChunk vectors) in _chunks)
        {
            Grew(-vectors.Bytes);
            vectors.Quantize(scale, filter.Taken);
            Grew(vectors.Bytes);
        }

        foreach (Cluster cluster in _clusters.All) _coarse.Put(cluster.Ordinal, cluster.Centroid, scale);
        Volatile.Write(ref _scale, scale);
    }

    private void Grew(long bytes) => Volatile.Write(ref _bytes, _bytes + bytes);
}
