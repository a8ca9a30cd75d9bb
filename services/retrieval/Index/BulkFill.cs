using System.Numerics.Tensors;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

// Filling an empty index at once, where Upsert and Publish take a row at a time: codes are counted first, so that every segment is
// made once and at its size; frequent values have their rows before the first bit is written; each segment is filled by one thread, as
// its filter words have one writer; all is published at the end.
internal sealed partial class ClusteredVectorIndex
{
    public void Fill(BulkRows rows, int threads)
    {
        if (_slots != 0) throw new InvalidOperationException($"The index holds {_slots} slots already.");
        if (rows.Count > _slotsMax) throw new ArgumentException($"{rows.Count} rows; the index has {_slotsMax} slots.", nameof(rows));
        if (rows.Count == 0) return;

        Volatile.Write(ref _dimensions, rows.Dimensions);
        Filters.Begin(rows);
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads };
        if (rows.Count > _shape.ExactRowsMax) _scale = ScaleOf(rows.Count, rows.Vector, parallel);

        List<Run> runs = Plan(rows, out int[] order);
        Segment[] segments = [.. runs.Select(run => NewSegment(run.Cluster, Segment.RoomFor(run.Count), rows.Count))]; // by one thread, in order
        var sums = new double[runs.Count][];
        var gate = new Lock();
        MakePlaces(rows.Count);
        Parallel.For(0, runs.Count, parallel, () => new Worker(FilterBits.FixedRows + Filters.FrequentValues), (number, _, worker) =>
        {
            FillSegment(rows, segments[number], order.AsSpan(runs[number].First, runs[number].Count), number, sums[number] = new double[rows.Dimensions], worker);
            return worker;
        }, worker =>
        {
            lock (gate) Filters.Account(worker.Counts);
        });

        Append(runs, segments, sums);
        _slots = rows.Count;
        Volatile.Write(ref _published, _slots);
    }

    // Row numbers by cluster, and the runs of them that make a segment each. Prefixes with most rows come first: where there is not room for
    // all, they have clusters of their own.
    private List<Run> Plan(BulkRows rows, out int[] order)
    {
        var byPrefix = new Dictionary<CodePrefix, List<int>>();
        for (int i = 0; i < rows.Count; i++)
        {
            CodePrefix prefix = _clusters.PrefixOf(rows.Rows[i].State!.Facts.Codes);
            if (!byPrefix.TryGetValue(prefix, out List<int>? members)) byPrefix[prefix] = members = [];
            members.Add(i);
        }

        var byCluster = new List<(Cluster Cluster, List<int> Members)>(); // by ordinal, as the index has none yet
        foreach ((CodePrefix prefix, List<int> members) in byPrefix.OrderByDescending(static pair => pair.Value.Count))
        {
            Cluster cluster = ClusterOf(prefix);
            if (cluster.Ordinal == byCluster.Count) byCluster.Add((cluster, members));
            else byCluster[cluster.Ordinal].Members.AddRange(members);
        }

        order = new int[rows.Count];
        var runs = new List<Run>();
        int at = 0;
        foreach ((Cluster cluster, List<int> members) in byCluster)
        {
            members.CopyTo(order, at);
            for (int first = 0; first < members.Count; first += Segment.RowsMax)
            {
                runs.Add(new Run(cluster, at + first, Math.Min(Segment.RowsMax, members.Count - first)));
            }

            at += members.Count;
        }

        return runs;
    }

    private void FillSegment(BulkRows rows, Segment segment, ReadOnlySpan<int> members, int number, double[] sum, Worker worker)
    {
        for (int place = 0; place < members.Length; place++)
        {
            int slot = members[place];
            Row row = rows.Rows[slot];
            RowState state = row.State!;
            ReadOnlySpan<float> vector = rows.Vector(slot);
            segment.Put(place, row, slot, state.Facts.Hash, vector, _scale);
            Filters.Sign(state.Facts, state.Eligibility, worker.Signature);
            segment.Filter.Put(place, worker.Signature);
            worker.Account();
            for (int d = 0; d < sum.Length; d++) sum[d] += vector[d];
            _places[slot / BlockSlots]![slot % BlockSlots] = (number << Segment.PlaceBits) + place;
        }
    }

    private void MakePlaces(int count)
    {
        for (int block = 0; block * BlockSlots < count; block++) _places[block] = new int[BlockSlots];
        Grew(4L * BlockSlots * ((count + BlockSlots - 1) / BlockSlots));
    }

    private void Append(List<Run> runs, Segment[] segments, double[][] sums)
    {
        var own = new List<int>();
        for (int number = 0; number < runs.Count; number++)
        {
            Run run = runs[number];
            own.Add(number);
            run.Cluster.Account(sums[number], run.Count);
            run.Cluster.TailRows = run.Count;
            if (number + 1 < runs.Count && runs[number + 1].Cluster == run.Cluster) continue;
            run.Cluster.Append(own.ToArray());
            own.Clear();
        }

        foreach (Cluster cluster in _clusters.All)
        {
            if (_scale > 0) _coarse.Put(cluster.Ordinal, cluster.Centroid, _scale);
        }

        _segments = segments;
        _spans = [.. segments.Select(static segment => segment.Span)];
        Grew(segments.Sum(static segment => segment.Bytes + SegmentBytes));
        Volatile.Write(ref _segmentCount, segments.Length);
    }

    // The scale of bytes by the largest component there is; a larger one that comes later is limited to it. 0 where all are zero.
    private static float ScaleOf(int vectors, VectorOf vectorOf, ParallelOptions parallel)
    {
        float largest = 0;
        var gate = new Lock();
        Parallel.For(0, vectors, parallel, static () => 0f, (i, _, max) => Math.Max(max, Math.Abs(TensorPrimitives.MaxMagnitude(vectorOf(i)))), max =>
        {
            lock (gate) largest = Math.Max(largest, max);
        });
        return largest == 0 ? 0 : Int8Rows.ScaleFor(largest);
    }

    private delegate ReadOnlySpan<float> VectorOf(int number);

    // The rows of one segment.
    private readonly record struct Run(Cluster Cluster, int First, int Count);

    private sealed class Worker(int exactRows)
    {
        public RowSignature Signature { get; } = new();

        public long[] Counts { get; } = new long[exactRows];

        public void Account()
        {
            Counts[FilterBits.LiveRow]++;
            if (!Signature.Hidden) Counts[FilterBits.VisibleRow]++;
            foreach (int row in Signature.Exact.All) Counts[row]++;
        }
    }
}
