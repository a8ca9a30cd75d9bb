using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Retrieval;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Benchmarks.Ann;

/// <summary>The rows in a <see cref="ClusteredVectorIndex"/> as retrieval holds them: each with facts, tags and messages of its own.</summary>
internal sealed class FeedMeshIndex
{
    private readonly Dictionary<AnnFilterSet, RowFilter[]> _filters = [];
    private readonly QueryVectors[] _queries;

    /// <param name="codes">Of each row.</param>
    /// <param name="options">How it is searched; all else has no say here.</param>
    public FeedMeshIndex(AnnData data, uint[][] codes, RetrievalOptions options, CancellationToken cancellation)
    {
        // As the snapshot loader does: one text for all rows that have it.
        string[][] tags = [.. AnnData.Cardinalities.Select((count, a) => Enumerable.Range(0, count).Select(value => AnnCondition.Tag(a, value)).ToArray())];
        Index = new ClusteredVectorIndex(data.Rows, IndexLimits.From(options).Clusters);
        var rows = new Row[data.Rows];
        Parallel.For(0, rows.Length, new ParallelOptions { CancellationToken = cancellation }, i =>
        {
            var item = new Item { ItemId = $"item-{i}", AuthorId = $"author-{i % 50_000}", Language = "en" };
            for (int a = 0; a < data.Values.Length; a++) item.Tags.Add(tags[a][data.Values[a][i]]);
            rows[i] = new Row { State = new RowState(new ItemFacts(item, codes[i]), new Counters(), new Eligibility(), (ulong)i + 1, i) };
        });
        Index.Fill(new AnnRows(rows, data), Environment.ProcessorCount); // as a replica that starts from a snapshot, or a compaction

        _queries = [.. Enumerable.Range(0, data.QueryCount).Select(q => new QueryVectors(data.Query(q).ToArray(), data.Dimensions))];
    }

    public ClusteredVectorIndex Index { get; }

    public int QueryCount => _queries.Length;

    /// <summary>Makes a plan of a query's filter, as a request does whose filter was not asked before.</summary>
    public BitPlan Compile(AnnFilterSet filters, int query) => BitPlan.For(RowFilters.Parse(filters.Text(query)).Plan, Index.Filters);

    /// <summary>Rows are numbered as they came, so a slot is a row number.</summary>
    public List<RowHit> Search(AnnFilterSet filters, int query, int k, ClusterShape shape, CancellationToken cancellation)
    {
        if (!_filters.TryGetValue(filters, out RowFilter[]? parsed)) throw new InvalidOperationException("Filters are parsed before they are used.");
        return Index.Search(_queries[query], k, parsed[query], shape, cancellation);
    }

    private sealed class AnnRows(Row[] rows, AnnData data) : BulkRows(rows)
    {
        public override int Dimensions => data.Dimensions;

        public override ReadOnlySpan<float> Vector(int row) => data.Vector(row);
    }

    public void Add(AnnFilterSet filters) => _filters[filters] = [.. Enumerable.Range(0, QueryCount).Select(query => RowFilters.Parse(filters.Text(query)))];
}

/// <summary>
/// A search of FeedMesh with a shape that depends on the knob. A single query has one thread or two, whichever is
/// faster; a batch two, which take queries in turn.
/// </summary>
internal sealed class FeedMeshWay(FeedMeshIndex index, string name, int knobMax, Func<ClusterShape, int, ClusterShape> shapeOf, AnnWay? twin = null) : AnnWay(name, knobMax)
{
    private const int BatchThreads = 2;

    /// <summary>So many clusters at least, and as many more as it takes to hold k.</summary>
    public static FeedMeshWay Probing(FeedMeshIndex index, int clusters) => new(
        index, $"{clusters}", clusters, (shape, knob) => shape with { ExactRowsMax = 0, ProbesMin = knob, RowsPerResult = 1, FarShareMax = 1 });

    /// <summary>All rows that pass are scored.</summary>
    public static FeedMeshWay Exact(FeedMeshIndex index, int clusters) => new(index, $"{clusters} exact", 1, (shape, _) => shape with { ExactRowsMax = int.MaxValue / 8 });

    /// <summary>The way and the clusters that the default options choose.</summary>
    public static FeedMeshWay AsShipped(FeedMeshIndex index, int clusters) => new(index, $"{clusters} as shipped", 1, (shape, _) => shape);

    /// <summary>The same, as it is for filters that were never asked before: nothing is kept of them.</summary>
    public FeedMeshWay WithNewFilters() => new(index, Name, KnobMax, (shape, knob) => shapeOf(shape, knob) with { KeepsMasks = false }, twin: this);

    public override AnnWay? Twin => twin;

    public override int Variants(AnnFilterSet filters, bool isBatch) => isBatch ? 1 : 2;

    public override string Describe(int knob, int variant) => $"{base.Describe(knob, variant)}{(variant == 1 ? " 2t" : "")}";

    public override Task<(int[][] Rows, double Seconds)> AnswerAsync(AnnFilterSet filters, int k, int knob, CancellationToken cancellation)
    {
        ClusterShape shape = shapeOf(index.Index.Shape, knob);
        var rows = new int[index.QueryCount][];
        long started = Stopwatch.GetTimestamp();
        for (int query = 0; query < rows.Length; query++)
        {
            rows[query] = [.. index.Search(filters, query, k, shape, cancellation).Select(hit => hit.State.Slot)];
        }

        return Task.FromResult((rows, Stopwatch.GetElapsedTime(started).TotalSeconds));
    }

    public override Task<double> RunAsync(AnnFilterSet filters, int k, int knob, bool isBatch, int variant, double seconds, CancellationToken cancellation)
    {
        ClusterShape shape = shapeOf(index.Index.Shape, knob) with { Threads = 1 + variant };
        int taken = -1, end = int.MaxValue, done = 0;
        long started = Stopwatch.GetTimestamp();
        void Work()
        {
            int query;
            while ((query = Interlocked.Increment(ref taken)) < Volatile.Read(ref end))
            {
                bool isOver = query % index.QueryCount == 0 && query > 0 && Stopwatch.GetElapsedTime(started).TotalSeconds >= seconds;
                if (isOver || cancellation.IsCancellationRequested)
                {
                    Volatile.Write(ref end, query);
                    return;
                }

                index.Search(filters, query % index.QueryCount, k, shape, CancellationToken.None);
                Interlocked.Increment(ref done);
            }
        }

        Thread[] others = [.. Enumerable.Range(1, isBatch ? BatchThreads - 1 : 0).Select(_ => new Thread(Work))];
        foreach (Thread thread in others) thread.Start();
        Work();
        foreach (Thread thread in others) thread.Join();
        cancellation.ThrowIfCancellationRequested();
        return Task.FromResult(done / Stopwatch.GetElapsedTime(started).TotalSeconds);
    }
}
