using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// One search of a <see cref="ClusteredVectorIndex"/>:
/// <list type="number">
/// <item>Which clusters: the nearest to each query vector by their centroids, as many as hold enough rows that the filter is expected to
/// admit; all of them for small indexes, and for filters that so few rows pass that most clusters would have to be probed.</item>
/// <item>The filter, over the bits of these clusters.</item>
/// <item>Scores: of all that is admitted where that is little (<see cref="RowDots.Gather(ReadOnlySpan{float}, ReadOnlySpan{nint}, Span{float})"/>);
/// else the bytes are scanned, each once for up to four query vectors, and the best of each query vector are scored again. The k best by their
/// largest similarity are among the k best by one.</item>
/// <item>Checks, best first, until k are found: they read a row's state, three cache misses, so they come last, and only what the request
/// excludes is left out before. Where they leave fewer than k, the search is done again over more clusters with every row checked before it
/// counts. And where the farther half of the clusters probed gave more than a few of the k best, clusters beyond are likely to hold more, and twice
/// as many are probed.</item>
/// </list>
/// </summary>
internal sealed class ClusteredSearch
{
    // An estimate that is so far off ends the exact way.
    private const int MisjudgedBy = 4;

    // Probing looks at one in so many of the rows that pass: where it is more, all may as well be scored.
    private const int ProbedShareMin = 4;

    // Fewer than one row in so many: a block of 16 rows is read for hardly more than one of them, and that one may as well be read as floats.
    private const int SparseShare = 16;

    // How the rows to look at grow with those that pass. Measured on 1,000,000 x 64 in 4,096 clusters, 100 results at recall 0.99: where 100, 10
    // and 1 % of rows pass, about 2,000, 1,200 and 600 of them had to be looked at.
    private const double NeededExponent = 0.4;

    // From so many results on, four times as many need twice the rows: 1,024 at recall 0.998 looked at 8,000 of the 100,000 that passed.
    private const double NeededResults = 100;

    // Parts of a step that threads share: 5 to 20 us each, so that taking one costs little and none is waited for long.
    private const int LooksEach = 32;
    private const int ScansEach = 8;
    private const int ScoresEach = 256;
    private const int ChecksEach = 128;

    // Nearest first lets the threshold rise at once; past that many clusters sorting them costs more.
    private const int SortedMax = 128;

    private readonly ClusteredVectorIndex _index;
    private readonly ClusterShape _shape;
    private readonly QueryVectors _queries;
    private readonly int _k;
    private readonly RowFilter _filter;
    private readonly CancellationToken _cancellation;
    private readonly BitPlan _plan;
    private readonly SearchScratch _scratch;
    private readonly Admission _admission;
    private readonly int _clusters; // there were so many when the search began
    private readonly SearchTeam? _team;
    private ScanHits _coarse = null!;
    private int _nearSegments; // at the front of the order: those of the nearer half of the clusters
    private int _far;          // of the rows found last: so many lie in the farther half of the clusters probed

    /// <param name="slots">Published when the search began.</param>
    /// <param name="team">To share the work with; null: the calling thread does all of it.</param>
    public ClusteredSearch(
        ClusteredVectorIndex index, ClusterShape shape, QueryVectors queries, int k, RowFilter filter, int slots, SearchScratch scratch, SearchTeam? team, CancellationToken cancellation)
    {
        _team = team;
        _index = index;
        _shape = shape;
        _queries = queries;
        _k = k;
        _filter = filter;
        _scratch = scratch;
        _cancellation = cancellation;
        _plan = BitPlan.For(filter.Plan, index.Filters);
        _clusters = index.Clusters.Length;
        _admission = scratch.Admission;
        _admission.Begin(index, filter, _plan, shape.KeepsMasks, slots);
    }

    /// <summary>The k best by their largest similarity to any of the queries.</summary>
    public List<RowHit> Run() => TryScoreAll(out double needed, out double passes) ? ScoreAdmitted(_queries) : Probe(needed, passes);

    /// <summary>
    /// The k best of each query, in one pass over what they look at together. Null for a query of which the checks left too few, or that has more
    /// in clusters beyond: it has to be searched for alone.
    /// </summary>
    public List<RowHit>?[] RunEach()
    {
        QueryVectors[] each = [.. _queries.Each()];
        if (TryScoreAll(out double needed, out double passes)) return [.. each.Select(one => ScoreAdmitted(one))];

        int probes = ProbesFor(needed, passes);
        OrderNearest(ref probes, needed, out bool isSparse);
        bool isAll = probes == _clusters;
        if (isSparse) return [.. each.Select((one, q) => FullOrNull(ScoreAdmitted(one, 1ul << q), isAll))];

        ProbeHits[] hits = Scan(isChecked: false);
        return [.. each.Select((one, q) =>
        {
            _scratch.Places.Clear();
            hits[q].AddBest(_scratch.Places);
            return FullOrNull(Pick(one, _scratch.Places.Count, 1ul << q), isAll);
        })];
    }

    private List<RowHit>? FullOrNull(List<RowHit> found, bool isAll) => found.Count == _k && (isAll || !HasMoreAfar()) ? found : null;

    // Asks the filter of all segments where what it admits is then to be scored whole.
    private bool TryScoreAll(out double needed, out double passes)
    {
        long live = _index.Filters.Count(FilterBits.LiveRow);
        passes = _plan.PassShare * live;
        double results = Math.Min(_k, Math.Sqrt(_k * NeededResults));
        needed = Math.Max(_k, _shape.RowsPerResult * results * Math.Pow(_plan.PassShare, NeededExponent)) + _filter.ExcludedMax;
        bool isSmall = _index.Scale == 0 || live <= _shape.ExactRowsMax;
        if (!isSmall && (passes > _shape.ExactRowsMax || passes > ProbedShareMin * needed)) return false;

        OrderAll();
        long rows = LookAll();
        return _index.Scale == 0 || rows <= MisjudgedBy * (long)_shape.ExactRowsMax;
    }

    private long LookAll()
    {
        List<int> ends = _scratch.Order;
        ends.Clear();
        for (int end = 0; end < _admission.Segments;) ends.Add(end = _admission.GroupEnd(end));
        long rows = 0;
        Share(ends.Count, 1, (_, first, last) =>
        {
            for (int i = first; i < last; i++) Interlocked.Add(ref rows, _admission.LookGroup(i == 0 ? 0 : ends[i - 1], ends[i], _cancellation));
        });
        return rows;
    }

    private long Look(List<int> numbers)
    {
        long rows = 0;
        Share(numbers.Count, LooksEach, (_, from, end) => Interlocked.Add(ref rows, _admission.Look(CollectionsMarshal.AsSpan(numbers)[from..end], _cancellation)));
        return rows;
    }

    // Calls the work with a thread's number and a range of what there is to do, until all is done.
    private void Share(int count, int each, Action<int, int, int> work)
    {
        if (_team is null || count <= each) work(0, 0, count);
        else _team.Run((count + each - 1) / each, (worker, part) => work(worker, part * each, Math.Min(count, (part + 1) * each)));
    }

    private void OrderAll()
    {
        for (int number = 0; number < _admission.Segments; number++) _scratch.Union.Add(number);
    }

    private int ProbesFor(double needed, double passes)
    {
        double perCluster = Math.Max(1e-9, passes / Math.Max(1, _clusters));
        return (int)Math.Min(_clusters, Math.Max(_shape.ProbesMin, needed / perCluster));
    }

    private List<RowHit> Probe(double needed, double passes)
    {
        int probes = ProbesFor(needed, passes);
        for (bool isChecked = false; ;)
        {
            OrderNearest(ref probes, needed, out bool isSparse);
            bool isComplete = true;
            List<RowHit> found = isSparse ? ScoreAdmitted(_queries) : ScanAndPick(isChecked, out isComplete);
            bool isFull = found.Count == _k;
            if (isFull && !HasMoreAfar()) return found;
            if (probes == _clusters && (isFull || isComplete || isChecked)) return found;

            isChecked |= !isFull;
            probes = Math.Min(_clusters, (isFull ? 2 : 4) * probes);
        }
    }

    // Whether the farther half of the clusters gave so much that those beyond are likely to hold more.
    private bool HasMoreAfar() => _far > Math.Max(1, _shape.FarShareMax * _k);

    // The segments of the clusters nearest to each query vector, with the filter asked; and whether few of their rows pass it.
    private void OrderNearest(ref int probes, double needed, out bool isSparse)
    {
        _scratch.Union.Clear();
        _scratch.ProbedBy(_admission.Segments).Clear();
        _scratch.NearTo(_admission.Segments).Clear();
        int probesMost = probes;
        for (int q = 0; q < _queries.Count; q++)
        {
            int own = probes;
            ScoreClusters(_queries[q]);
            while (true)
            {
                TakeNearest(own);
                if (Look(_scratch.Order) >= needed || own == _clusters) break;
                own = Math.Min(_clusters, 2 * own);
            }

            probesMost = Math.Max(probesMost, own);
            Span<ulong> probedBy = _scratch.ProbedBy(_admission.Segments), nearTo = _scratch.NearTo(_admission.Segments);
            ReadOnlySpan<int> order = CollectionsMarshal.AsSpan(_scratch.Order);
            foreach (int number in order)
            {
                if (probedBy[number] == 0) _scratch.Union.Add(number);
                probedBy[number] |= 1ul << q;
            }

            foreach (int number in order[.._nearSegments]) nearTo[number] |= 1ul << q;
        }

        probes = probesMost;
        long rows = 0, room = 0;
        foreach (int number in _scratch.Union)
        {
            rows += _admission.Count(number);
            room += _admission.Capacity(number);
        }

        isSparse = rows <= 2 * ProbeHits.Kept(_k) || rows < room / SparseShare;
    }

    private void ScoreClusters(ReadOnlySpan<float> query)
    {
        int count = Math.Min(_index.Coarse.Count, _clusters);
        _coarse = _scratch.Coarse(count);
        _coarse.Begin(new Int8Query(query, _index.Scale));
        _index.Coarse.Score(_coarse, count, _scratch.ClusterWords((count + Int8Rows.GroupRows - 1) / Int8Rows.GroupRows));
    }

    // Segments of the nearest clusters, after those of rows without codes, which are near to anything.
    private void TakeNearest(int probes)
    {
        Span<int> dots = _scratch.CoarseDots(_coarse.Count), ordinals = _scratch.CoarseOrdinals(_coarse.Count);
        _coarse.Dots.CopyTo(dots);
        _coarse.Ordinals.CopyTo(ordinals);
        TopSelect.Keep(dots, ordinals, probes);
        dots = dots[..Math.Min(probes, dots.Length)];
        ordinals = ordinals[..dots.Length];
        int near = (dots.Length + 1) / 2;
        if (dots.Length <= SortedMax)
        {
            dots.Sort(ordinals);
            ordinals.Reverse();
        }
        else
        {
            near = PutNearerHalfFirst(dots, ordinals);
        }

        _scratch.Order.Clear();
        if (_index.WithoutCodes is { } withoutCodes) AddSegments(withoutCodes);
        ReadOnlySpan<Cluster> clusters = _index.Clusters;
        AddClusters(clusters, ordinals[..near]);
        _nearSegments = _scratch.Order.Count;
        AddClusters(clusters, ordinals[near..]);
    }

    // Where the nearer half ends: a little later where clusters are as near as its last.
    private int PutNearerHalfFirst(Span<int> dots, Span<int> ordinals)
    {
        Span<int> some = _scratch.Sorting(2 * dots.Length);
        dots.CopyTo(some);
        ordinals.CopyTo(some[dots.Length..]);
        int last = TopSelect.Keep(some[..dots.Length], some[dots.Length..], (dots.Length + 1) / 2), near = 0;
        for (int i = 0; i < dots.Length; i++)
        {
            if (dots[i] < last) continue;
            (dots[i], dots[near]) = (dots[near], dots[i]);
            (ordinals[i], ordinals[near]) = (ordinals[near], ordinals[i]);
            near++;
        }

        return near;
    }

    private void AddClusters(ReadOnlySpan<Cluster> clusters, ReadOnlySpan<int> ordinals)
    {
        foreach (int ordinal in ordinals)
        {
            if (!clusters[ordinal].IsAlwaysProbed) AddSegments(clusters[ordinal]);
        }
    }

    private void AddSegments(Cluster cluster)
    {
        foreach (int number in cluster.Segments)
        {
            if (number < _admission.Segments) _scratch.Order.Add(number); // else made after the search began: nothing in it is published
        }
    }

    private List<RowHit> ScoreAdmitted(QueryVectors queries, ulong numbers = ulong.MaxValue)
    {
        int count = CollectAdmitted();
        int checkedMost = (int)Math.Min(count, _k + (_k / 8) + 16 + (long)_filter.ExcludedMax);
        List<RowHit> found = Pick(queries, checkedMost, numbers);
        if (found.Count == _k || checkedMost == count) return found;

        CollectAdmitted(); // a selection has left out what now counts
        return Pick(queries, count, numbers);
    }

    private int CollectAdmitted()
    {
        List<int> places = _scratch.Places;
        places.Clear();
        foreach (int number in _scratch.Union)
        {
            if (_admission.Count(number) > 0) _admission.AddPlaces(number, places);
        }

        return places.Count;
    }

    // Whether nothing was left out: neither cut off nor, unless each was checked, put behind what a check may refuse.
    private List<RowHit> ScanAndPick(bool isChecked, out bool isComplete)
    {
        ProbeHits[] found = Scan(isChecked);
        _scratch.Places.Clear();
        isComplete = true;
        foreach (ProbeHits one in found)
        {
            one.AddBest(_scratch.Places);
            isComplete &= !one.HasCutOff;
        }

        if (found.Length > 1) DropRepeated(_scratch.Places);
        return Pick(_queries, _scratch.Places.Count, ulong.MaxValue);
    }

    private ProbeHits[] Scan(bool isChecked)
    {
        int kept = ProbeHits.Kept(_k);
        Func<int, int, bool>? check = isChecked ? IsAdmitted : _filter.ExcludedMax > 0 ? _admission.IsCandidate : null;
        var found = new ProbeHits[_team?.Size ?? 1][];
        for (int worker = 0; worker < found.Length; worker++) found[worker] = new ProbeHits[_queries.Count];
        for (int q = 0; q < _queries.Count; q++)
        {
            var query = new Int8Query(_queries[q], _index.Scale);
            for (int worker = 0; worker < found.Length; worker++)
            {
                ScanHits hits = _scratch.Hits((worker * _queries.Count) + q, kept);
                hits.Begin(query);
                found[worker][q] = new ProbeHits(hits, kept, check);
            }
        }

        Share(_scratch.Union.Count, ScansEach, (worker, from, end) => ScanUnion(from, end, found[worker]));
        foreach (ProbeHits[] others in found.AsSpan(1))
        {
            for (int q = 0; q < others.Length; q++) found[0][q].Add(others[q]);
        }

        return found[0];
    }

    private void ScanUnion(int from, int end, ProbeHits[] found)
    {
        ReadOnlySpan<ulong> probedBy = _scratch.ProbedBy(_admission.Segments);
        var together = new ScanHits[Math.Min(found.Length, Int8Scan.QueriesMax)];
        ReadOnlySpan<int> numbers = CollectionsMarshal.AsSpan(_scratch.Union)[from..end];
        for (int i = 0; i < numbers.Length; i++)
        {
            if ((i & 15) == 0) _cancellation.ThrowIfCancellationRequested();
            int number = numbers[i];
            if (i + 1 < numbers.Length && _admission.Count(numbers[i + 1]) > 0) _index.Segments[numbers[i + 1]].PrefetchBlocks();
            if (_admission.Count(number) == 0) continue;
            for (ulong left = probedBy[number]; left != 0;)
            {
                ulong before = left;
                int count = 0;
                for (; left != 0 && count < together.Length; left &= left - 1) together[count++] = found[BitOperations.TrailingZeroCount(left)].Hits;
                Scan(number, together.AsSpan(0, count), before & ~left, found);
            }
        }
    }

    private void Scan(int number, ReadOnlySpan<ScanHits> together, ulong queries, ProbeHits[] found)
    {
        ReadOnlySpan<byte> blocks = _admission.At(number, out ReadOnlySpan<ulong> mask).Blocks;
        for (int group = 0; (group = Int8Scan.Run(blocks, mask, number << Segment.PlaceBits, together, group)) < mask.Length;)
        {
            for (ulong left = queries; left != 0; left &= left - 1)
            {
                ProbeHits one = found[BitOperations.TrailingZeroCount(left)];
                if (one.Hits.IsFull) one.KeepBest();
            }
        }
    }

    private bool IsAdmitted(int number, int place) => _admission.Check(number, place, out _) is not null;

    private static void DropRepeated(List<int> places)
    {
        Span<int> sorted = CollectionsMarshal.AsSpan(places);
        sorted.Sort();
        int front = 0;
        for (int i = 0; i < sorted.Length; i++)
        {
            if (i == 0 || sorted[i] != sorted[i - 1]) sorted[front++] = sorted[i];
        }

        CollectionsMarshal.SetCount(places, front);
    }

    // Scores the collected places, and checks the best of them until k are found.
    // numbers: a bit for each of the queries, by its number among all of the search.
    private List<RowHit> Pick(QueryVectors queries, int checkedMost, ulong numbers)
    {
        ReadOnlySpan<ulong> nearTo = _scratch.NearTo(_admission.Segments);
        _far = 0;
        Score(queries);
        Span<int> scores = CollectionsMarshal.AsSpan(_scratch.Scores), places = CollectionsMarshal.AsSpan(_scratch.Places);
        if (checkedMost < scores.Length)
        {
            TopSelect.Keep(scores, places, checkedMost);
            scores = scores[..checkedMost];
            places = places[..checkedMost];
        }

        TensorPrimitives.OnesComplement(scores, scores); // ascending is best first now
        TopSelect.SortAscending(scores, places, _scratch.Sorting(2 * scores.Length));
        var top = new BestFirst(_k);
        Checked[] results = _scratch.Checks(scores.Length);
        int ahead = Math.Min(_k, scores.Length); // these are likely to be checked whatever comes of the others
        _scratch.ChecksUsed = Math.Max(_scratch.ChecksUsed, ahead);
        Check(ahead, results);
        for (int from = 0; from < scores.Length && !top.IsFullBefore(scores[from]); from++)
        {
            if (from == ahead)
            {
                ahead = Math.Min(ahead + Admission.CheckedMax, places.Length);
                _scratch.ChecksUsed = Math.Max(_scratch.ChecksUsed, ahead);
                Check(from, ahead, results);
            }

            if (results[from].State is null) continue;
            Offer(top, queries, scores[from], results[from]);
            if ((nearTo[places[from] >> Segment.PlaceBits] & numbers) == 0) _far++;
        }

        return top.Take();
    }

    private void Check(int count, Checked[] results) => Share(count, ChecksEach, (_, from, end) =>
    {
        for (int at = from; at < end; at += Admission.CheckedMax) Check(at, Math.Min(end, at + Admission.CheckedMax), results);
    });

    private void Check(int from, int end, Checked[] results) =>
        _admission.Check(CollectionsMarshal.AsSpan(_scratch.Places)[from..end], results.AsSpan(from, end - from));

    private void Offer(BestFirst top, QueryVectors queries, int inverted, in Checked result)
    {
        RowState state = result.State!;
        if (result.HasMoved) top.AddOutOfTurn(new RowHit(queries.Best(_index.VectorAt(state.Slot)), result.Row, state));
        else top.Add(inverted, new RowHit(TopSelect.FromOrdered(~inverted), result.Row, state));
    }

    private void Score(QueryVectors queries)
    {
        int count = _scratch.Places.Count;
        _scratch.GrowScores(count);
        CollectionsMarshal.SetCount(_scratch.Scores, count);
        Share(count, ScoresEach, (_, from, end) => Score(queries, from, end));
    }

    private void Score(QueryVectors queries, int from, int end)
    {
        ReadOnlySpan<int> places = CollectionsMarshal.AsSpan(_scratch.Places)[from..end];
        Span<nint> addresses = _scratch.Addresses[from..end];
        ReadOnlySpan<SegmentSpan> spans = _index.Spans;
        nint rowBytes = sizeof(float) * queries.Dimensions;
        for (int i = 0; i < places.Length; i++)
        {
            addresses[i] = spans[places[i] >> Segment.PlaceBits].Vectors + (places[i] % Segment.RowsMax * rowBytes);
        }

        Span<float> best = _scratch.FloatScores[from..end];
        RowDots.Gather(queries[0], addresses, best);
        for (int q = 1; q < queries.Count; q++)
        {
            Span<float> scores = _scratch.MoreFloatScores[from..end];
            RowDots.Gather(queries[q], addresses, scores);
            TensorPrimitives.Max(best, scores, best);
        }

        Span<int> ordered = CollectionsMarshal.AsSpan(_scratch.Scores)[from..end];
        for (int i = 0; i < ordered.Length; i++) ordered[i] = TopSelect.ToOrdered(best[i]);
    }
}
