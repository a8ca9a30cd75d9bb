using System.Buffers;
using System.Numerics;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// One search of a <see cref="ClusteredVectorIndex"/>, by one of two ways:
/// <list type="number">
/// <item>Exact: the filter is asked of every segment, and each survivor is scored. For small indexes and for filters that few rows
/// pass, where clusters would have to be probed nearly all.</item>
/// <item>Probing: the segments of the nearest clusters, filter first, are scanned as bytes for each query vector; what passes the
/// threshold is checked exactly before it may raise it, so rows that turn out not to be admitted displace no others. The best
/// 1.5 k of each query vector are scored again: the k best by their largest similarity are among the k best by one.</item>
/// </list>
/// Probing goes on past the least number of clusters until enough rows have been looked at and k have been found.
/// </summary>
internal sealed class ClusteredSearch
{
    // An estimate that is so far off ends the exact way.
    private const int MisjudgedBy = 4;

    private const int WordsMax = Segment.RowsMax / 64;

    private readonly ClusteredVectorIndex _index;
    private readonly QueryVectors _queries;
    private readonly int _k;
    private readonly RowFilter _filter;
    private readonly int _slots;
    private readonly CancellationToken _cancellation;
    private readonly BitPlan _plan;
    private readonly TopRows _top;

    /// <param name="slots">Published when the search began.</param>
    public ClusteredSearch(ClusteredVectorIndex index, QueryVectors queries, int k, RowFilter filter, int slots, CancellationToken cancellation)
    {
        _index = index;
        _queries = queries;
        _k = k;
        _filter = filter;
        _slots = slots;
        _cancellation = cancellation;
        _plan = new BitPlan(filter.Plan, index.Filters);
        _top = new TopRows(k);
    }

    public List<RowHit> Run()
    {
        double passes = _plan.PassShare * _index.Filters.Count(FilterBits.LiveRow);
        bool isExact = _index.Scale == 0 || passes <= _index.Shape.ExactRowsMax;
        if (!isExact || !TryScoreAll()) Probe();
        return _top.TakeBestFirst();
    }

    private bool TryScoreAll()
    {
        long seen = 0, seenMax = _index.Scale == 0 ? long.MaxValue : (long)MisjudgedBy * _index.Shape.ExactRowsMax;
        Span<ulong> words = stackalloc ulong[WordsMax];
        int segments = _index.Segments.Length;
        for (int number = 0; number < segments; number++)
        {
            _cancellation.ThrowIfCancellationRequested();
            seen += Admit(number, words, out Segment segment);
            if (seen > seenMax) return false;

            Span<ulong> mask = words[..segment.Filter.Words];
            for (int w = 0; w < mask.Length; w++)
            {
                for (ulong left = mask[w]; left != 0; left &= left - 1) Offer(segment, (64 * w) + BitOperations.TrailingZeroCount(left));
            }
        }

        return true;
    }

    private void Offer(Segment segment, int place)
    {
        float score = _queries.Best(segment.Vector(place));
        if (score < _top.Threshold || Admitted(segment, place) is not { } state) return;
        if (state.Slot != segment.SlotAt(place)) score = _queries.Best(_index.VectorAt(state.Slot));
        _top.Offer(score, segment.RowAt(place), state);
    }

    private RowState? Admitted(Segment segment, int place) =>
        segment.IsHere(place, _slots) && segment.RowAt(place).State is { } state && _filter.Admits(state) ? state : null;

    private void Probe()
    {
        int segments = _index.Segments.Length;
        ulong[] masks = ArrayPool<ulong>.Shared.Rent(segments * WordsMax);
        int[] admitted = ArrayPool<int>.Shared.Rent(segments);
        Array.Fill(admitted, -1, 0, segments);
        var best = new HashSet<int>();
        try
        {
            var hits = new ProbeHits(_index, Admitted, _k);
            for (int i = 0; i < _queries.Count; i++)
            {
                hits.Begin(new Int8Query(_queries[i], _index.Scale));
                Scan(_queries[i], hits, masks, admitted.AsSpan(0, segments));
                hits.AddBest(best);
            }
        }
        finally
        {
            ArrayPool<ulong>.Shared.Return(masks);
            ArrayPool<int>.Shared.Return(admitted);
        }

        foreach (int place in best) Offer(_index.Segments[place >> Segment.PlaceBits], place % Segment.RowsMax);
    }

    private void Scan(ReadOnlySpan<float> query, ProbeHits hits, ulong[] masks, Span<int> admitted)
    {
        // Rows that the request excludes are the user's own past, so they lie where the search looks first.
        long needed = (long)_index.Shape.RowsPerResult * _k + _filter.Excluded;
        long seen = 0;
        int probed = 0;
        foreach (Cluster cluster in NearestFirst(query))
        {
            if (probed >= _index.Shape.ProbesMin && seen >= needed && hits.CountAdmitted() >= _k) return;
            _cancellation.ThrowIfCancellationRequested();
            foreach (int number in cluster.Segments)
            {
                if (number >= admitted.Length) continue; // made after the search began: nothing in it is published
                seen += ScanSegment(number, hits, masks.AsSpan(number * WordsMax, WordsMax), ref admitted[number]);
            }

            if (!cluster.IsAlwaysProbed) probed++;
        }
    }

    private int ScanSegment(int number, ProbeHits hits, Span<ulong> mask, ref int admitted)
    {
        Segment segment = _index.Segments[number];
        if (admitted < 0)
        {
            admitted = Admit(number, mask, out segment);
            mask[segment.Filter.Words..].Clear(); // it may have grown when the next query comes by
        }

        if (admitted > 0) hits.Scan(segment, number, mask[..segment.Filter.Words]);
        return admitted;
    }

    // A segment that was replaced by a longer one lacks the rows of values that became frequent after that: it is taken anew.
    private int Admit(int number, Span<ulong> mask, out Segment segment)
    {
        int admitted;
        do segment = _index.Segments[number];
        while (!_plan.TryAdmit(segment.Filter, mask[..segment.Filter.Words], out admitted));
        return admitted;
    }

    private Cluster[] NearestFirst(ReadOnlySpan<float> query)
    {
        Cluster[] clusters = _index.Clusters.ToArray();
        float[] distances = new float[clusters.Length];
        for (int i = 0; i < clusters.Length; i++)
        {
            distances[i] = clusters[i].IsAlwaysProbed ? float.NegativeInfinity : -DotProduct.Compute(query, clusters[i].Centroid);
        }

        Array.Sort(distances, clusters);
        return clusters;
    }
}
