using System.Buffers;
using System.Numerics;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// One search of a <see cref="ClusteredVectorIndex"/>, by one of two ways:
/// <list type="number">
/// <item>Exact: the filter is asked of every segment, each survivor is scored, and the best are checked. For small indexes and for
/// filters that few rows pass, where clusters would have to be probed nearly all.</item>
/// <item>Probing: the segments of the nearest clusters, filter first, are scanned as bytes for each query vector. The best 1.5 k of
/// each are scored again and checked: the k best by their largest similarity are among the k best by one. It goes on past the least
/// number of clusters until enough rows have been looked at and k are held.</item>
/// </list>
/// A check reads a row's state, 3 to 4 cache misses, so it comes last, and only what the request excludes (a hash beside the vector)
/// is left out before. Where the checks then leave fewer than k, the search is done again with every row checked before it counts.
/// </summary>
internal sealed class ClusteredSearch
{
    // An estimate that is so far off ends the exact way.
    private const int MisjudgedBy = 4;

    private const int WordsMax = Segment.RowsMax / 64;

    private readonly ClusteredVectorIndex _index;
    private readonly ClusterShape _shape;
    private readonly QueryVectors _queries;
    private readonly int _k;
    private readonly RowFilter _filter;
    private readonly int _slots;
    private readonly CancellationToken _cancellation;
    private readonly BitPlan _plan;
    private TopRows _top;

    /// <param name="slots">Published when the search began.</param>
    public ClusteredSearch(ClusteredVectorIndex index, ClusterShape shape, QueryVectors queries, int k, RowFilter filter, int slots, CancellationToken cancellation)
    {
        _index = index;
        _shape = shape;
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
        bool isExact = _index.Scale == 0 || passes <= _shape.ExactRowsMax;
        if (!isExact || !TryScoreAll()) Probe();
        return _top.TakeBestFirst();
    }

    private bool TryScoreAll()
    {
        int seenMax = _index.Scale == 0 ? _slots : (int)Math.Min(_slots, (long)MisjudgedBy * _shape.ExactRowsMax);
        int[] scores = ArrayPool<int>.Shared.Rent(seenMax);
        int[] places = ArrayPool<int>.Shared.Rent(seenMax);
        try
        {
            int count = ScoreAll(scores, places, seenMax);
            if (count < 0) return false;
            OfferBestFirst(scores.AsSpan(0, count), places.AsSpan(0, count));
            return true;
        }
        finally
        {
            ArrayPool<int>.Shared.Return(scores);
            ArrayPool<int>.Shared.Return(places);
        }
    }

    // Scores and places of all that the bits admit; -1 where they are too many.
    private int ScoreAll(int[] scores, int[] places, int seenMax)
    {
        int count = 0;
        Span<ulong> words = stackalloc ulong[WordsMax];
        int segments = _index.Segments.Length;
        for (int number = 0; number < segments; number++)
        {
            _cancellation.ThrowIfCancellationRequested();
            Admit(number, words, out Segment segment);
            for (int w = 0; w < segment.Filter.Words; w++)
            {
                for (ulong left = words[w]; left != 0; left &= left - 1)
                {
                    int place = (64 * w) + BitOperations.TrailingZeroCount(left);
                    if (!segment.IsHere(place, _slots) || _filter.Excludes(segment.HashAt(place))) continue;
                    if (count == seenMax) return -1;
                    scores[count] = TopSelect.ToOrdered(_queries.Best(segment.Vector(place)));
                    places[count++] = (number << Segment.PlaceBits) + place;
                }
            }
        }

        return count;
    }

    // The best first, as most of the others need not be checked then.
    private void OfferBestFirst(ReadOnlySpan<int> scores, ReadOnlySpan<int> places)
    {
        int[] copy = ArrayPool<int>.Shared.Rent(2 * scores.Length);
        Span<int> best = copy.AsSpan(0, scores.Length);
        scores.CopyTo(best);
        int cut = TopSelect.Keep(best, copy.AsSpan(scores.Length, scores.Length), _k + (_k / 2));
        ArrayPool<int>.Shared.Return(copy);

        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] >= cut) Offer(TopSelect.FromOrdered(scores[i]), places[i]);
        }

        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] < cut && TopSelect.FromOrdered(scores[i]) >= _top.Threshold) Offer(TopSelect.FromOrdered(scores[i]), places[i]);
        }
    }

    private void Offer(float score, int place)
    {
        Segment segment = _index.Segments[place >> Segment.PlaceBits];
        place %= Segment.RowsMax;
        if (Admitted(segment, place) is not { } state) return;
        if (state.Slot != segment.SlotAt(place)) score = _queries.Best(_index.VectorAt(state.Slot));
        _top.Offer(score, segment.RowAt(place), state);
    }

    private RowState? Admitted(Segment segment, int place) =>
        segment.IsHere(place, _slots) && segment.RowAt(place).State is { } state && _filter.Admits(state) ? state : null;

    private bool IsNotExcluded(Segment segment, int place) => !_filter.Excludes(segment.HashAt(place));

    private bool IsAdmitted(Segment segment, int place) => Admitted(segment, place) is not null;

    private void Probe()
    {
        bool isComplete = TryProbe(new ProbeHits(_index, IsNotExcluded, _k));
        if (isComplete || _top.Threshold > double.NegativeInfinity) return;

        _top = new TopRows(_k);
        TryProbe(new ProbeHits(_index, IsAdmitted, _k));
    }

    // Whether what was found is all that there is: nothing was cut off or left aside.
    private bool TryProbe(ProbeHits hits)
    {
        int segments = _index.Segments.Length;
        ulong[] masks = ArrayPool<ulong>.Shared.Rent(segments * WordsMax);
        int[] admitted = ArrayPool<int>.Shared.Rent(segments);
        Array.Fill(admitted, -1, 0, segments);
        var best = new HashSet<int>();
        bool isComplete = true;
        try
        {
            for (int i = 0; i < _queries.Count; i++)
            {
                hits.Begin(new Int8Query(_queries[i], _index.Scale));
                isComplete &= Scan(_queries[i], hits, masks, admitted.AsSpan(0, segments));
                isComplete &= hits.AddBest(best);
            }
        }
        finally
        {
            ArrayPool<ulong>.Shared.Return(masks);
            ArrayPool<int>.Shared.Return(admitted);
        }

        foreach (int place in best)
        {
            float score = _queries.Best(_index.Segments[place >> Segment.PlaceBits].Vector(place % Segment.RowsMax));
            if (score >= _top.Threshold) Offer(score, place);
        }

        return isComplete;
    }

    // Whether every cluster was probed.
    private bool Scan(ReadOnlySpan<float> query, ProbeHits hits, ulong[] masks, Span<int> admitted)
    {
        // Rows that the request excludes are the user's own past, so they lie where the search looks first.
        long needed = (long)_shape.RowsPerResult * _k + _filter.ExcludedMax;
        long seen = 0;
        int probed = 0;
        foreach (Cluster cluster in NearestFirst(query))
        {
            if (probed >= _shape.ProbesMin && seen >= needed && hits.CountAdmitted() >= _k) return false;
            _cancellation.ThrowIfCancellationRequested();
            foreach (int number in cluster.Segments)
            {
                if (number >= admitted.Length) continue; // made after the search began: nothing in it is published
                seen += ScanSegment(number, hits, masks.AsSpan(number * WordsMax, WordsMax), ref admitted[number]);
            }

            if (!cluster.IsAlwaysProbed) probed++;
        }

        return true;
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
