using System.Diagnostics;
using System.Globalization;
using Mesh.Retrieval;

namespace Mesh.Benchmarks.Ann;

/// <summary>
/// FeedMesh's index of clusters against FAISS at equal recall: the same rows, the same lists, the same filters, in one run. docs/ann.md
/// says how it measures.
/// </summary>
internal sealed class AnnBenchmark : IBenchmark
{
    private const int Seed = 1;

    public string Name => "ann";

    public string Summary => "filtered vector search against FAISS at equal recall";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["rows"] = "1000000",
        ["dimensions"] = "64",
        ["data"] = "easy",
        ["passes"] = "0.1,1,10,50,100",
        ["k"] = "100,1024",
        ["recalls"] = "0.9,0.95,0.99",
        ["queries"] = "200",
        ["clusters"] = "1024,4096",
        ["seconds"] = "1",
        ["rounds"] = "3",
        ["hnsw"] = "0",
        ["python"] = "/usr/bin/python3",
        ["faiss"] = "", // default: the one that the interpreter finds
        ["cache"] = "", // default: built indexes are not kept
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        double[] percents = Within(options, "passes", 0, 100), recalls = Within(options, "recalls", 0, 1);
        int[] ks = options.Ints("k"), clusters = options.Ints("clusters");
        if (ks.Any(k => k is < 1 or > 10_000)) throw new ArgumentException($"--k is {options["k"]}; it takes 1 to 10,000.");
        if (clusters.Any(count => count is < 2 or > RetrievalOptions.ClustersLimit)) throw new ArgumentException($"--clusters is {options["clusters"]}; it takes 2 to {RetrievalOptions.ClustersLimit:N0}.");
        Array.Sort(recalls);

        using (var folder = new ScratchFolder(Path.GetTempPath(), "feedmesh-ann-"))
        {
            Say($"making {options.Int("rows"):N0} x {options.Int("dimensions")} {options["data"]} rows");
            var data = new AnnData(options["data"], options.Int("rows"), options.Int("dimensions"), options.Int("queries"), Seed);
            var bitmaps = new ValueBitmaps(data);
            AnnFilterSet[] filters = [.. percents.Select((percent, i) => AnnFilterSet.Make(data, bitmaps, percent, Seed + i))];
            Say("looking at all rows for the truth");
            var truth = new AnnTruth(data, filters, ks.Max(), cancellation);

            (FaissPeer? peer, string fault) = await FaissPeer.StartAsync(options["python"], options["faiss"], folder.Path, cancellation);
            using (peer)
            {
                var head = new List<string>();
                List<AnnWay> faiss = peer is null ? [] : await PrepareAsync(peer, data, filters, clusters, options, head, cancellation);
                if (peer is null)
                {
                    head.Add($"No FAISS: {fault.Trim()}. Debian has python3-faiss (SSE only), PyPI faiss-cpu; name an interpreter by --python, a folder with the module by --faiss.");
                }

                (List<AnnWay> mesh, AnnWay shipped, FeedMeshIndex index) = await PrepareAsync(peer, data, filters, clusters, head, cancellation);
                var run = new AnnRun(data, truth, bitmaps, index, filters, ks, recalls, Seconds(options), Math.Max(1, options.Int("rounds")), cancellation);
                return await run.RunAsync(mesh, shipped, faiss, head);
            }
        }
    }

    /// <summary>A line of progress.</summary>
    public static void Say(string line) => Console.Error.WriteLine($"ann: {line}");

    private static async Task<List<AnnWay>> PrepareAsync(
        FaissPeer peer, AnnData data, AnnFilterSet[] filters, int[] clusters, BenchmarkOptions options, List<string> head, CancellationToken cancellation)
    {
        string cache = options["cache"].Length > 0 ? Directory.CreateDirectory(options["cache"]).FullName : "";
        await peer.OpenAsync(data, cache, cancellation);
        foreach (AnnFilterSet set in filters.Where(set => !set.IsOpen)) await peer.FilterAsync(set, cancellation);
        List<(string Kind, int Lists)> indexes = [.. clusters.SelectMany(lists => new[] { ("flat", lists), ("sq8", lists) })];
        if (options["hnsw"] == "1") indexes.Add(("hnsw", 0));
        foreach ((string kind, int lists) in indexes)
        {
            Say($"FAISS {kind} {lists}");
            (double seconds, bool isCached) = await peer.IndexAsync(kind, lists, cancellation);
            Say($"FAISS {kind} {lists}: {(isCached ? "read" : "built")} in {seconds.ToString("0.0", CultureInfo.InvariantCulture)} s");
        }

        double overhead = await peer.OverheadAsync(cancellation);
        head.Add($"FAISS {peer.Version}, compiled with: {peer.CompileOptions}; a call through Python costs {overhead.ToString("0.0", CultureInfo.InvariantCulture)} us");
        return [.. indexes.Select(index => new FaissWay(peer, index.Kind, index.Lists, isPost: false)),
            .. indexes.Where(index => index.Kind != "sq8").Select(index => new FaissWay(peer, index.Kind, index.Lists, isPost: true))];
    }

    private static async Task<(List<AnnWay> Ways, AnnWay Shipped, FeedMeshIndex First)> PrepareAsync(
        FaissPeer? peer, AnnData data, AnnFilterSet[] filters, int[] clusters, List<string> head, CancellationToken cancellation)
    {
        var ways = new List<AnnWay>();
        FeedMeshIndex? first = null;
        foreach (int count in clusters)
        {
            Say($"FeedMesh {count} clusters");
            long started = Stopwatch.GetTimestamp();
            uint[][] codes = peer is null
                ? AnnClusters.Fit(data, levels: 1, count, cancellation)
                : [.. (await peer.AssignmentAsync(count, cancellation)).Select(static list => new[] { (uint)list })];
            var index = new FeedMeshIndex(data, codes, new RetrievalOptions { ClustersMax = Math.Max(4_096, count) }, cancellation);
            foreach (AnnFilterSet set in filters) index.Add(set);
            Say($"FeedMesh {count} clusters: filled in {Stopwatch.GetElapsedTime(started).TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s");
            head.Add($"FeedMesh with {count} clusters: {index.Index.Bytes / (double)data.Rows:N0} bytes a row in vectors, bytes and filter rows; {index.Index.Filters.FrequentValues} values with a row of their own");
            ways.Add(FeedMeshWay.Probing(index, count));
            ways.Add(FeedMeshWay.Exact(index, count));
            first ??= index;
        }

        return (ways, FeedMeshWay.AsShipped(first!, clusters[0]), first!);
    }

    private static double Seconds(BenchmarkOptions options) => Math.Clamp(options.Doubles("seconds")[0], 0.01, 60);

    private static double[] Within(BenchmarkOptions options, string name, double above, double most)
    {
        double[] values = options.Doubles(name);
        return values.All(value => value > above && value <= most) ? values : throw new ArgumentException($"--{name} is {options[name]}; it takes numbers above {above}, {most} at most.");
    }
}
