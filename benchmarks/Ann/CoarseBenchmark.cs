using System.Diagnostics;
using System.Globalization;
using Mesh.Retrieval;

namespace Mesh.Benchmarks.Ann;

/// <summary>
/// One catalogue with semantic IDs of two codes, in clusters of one code and of two, with room for few clusters and for many: bytes, recall and processor
/// time of a query. Times are of the process, which does nothing else, so that other load of the machine counts little; rounds take the indexes in
/// turn, and the best of each is shown.
/// </summary>
internal sealed class CoarseBenchmark : IBenchmark
{
    private sealed record Coarse(string Name, FeedMeshIndex Index)
    {
        public Dictionary<(double Percent, int Probes), double> BestMs { get; } = [];
    }

    public string Name => "coarse";

    public string Summary => "clusters of one code of the semantic ID against two";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["rows"] = "1000000",
        ["dimensions"] = "64",
        ["data"] = "easy",
        ["codes"] = "256",
        ["clusters"] = "4096,16384,65536", // of two codes
        ["probes"] = "8,32",
        ["passes"] = "1,10,100",
        ["k"] = "100",
        ["queries"] = "100",
        ["rounds"] = "3",
    };

    public Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int codes = options.Int("codes"), k = options.Int("k");
        if (codes is < 2 or > 4_096) throw new ArgumentException($"--codes is {codes}; it takes 2 to 4,096.");
        if (k is < 1 or > 10_000) throw new ArgumentException($"--k is {k}; it takes 1 to 10,000.");
        int[] rooms = options.Ints("clusters"), probes = options.Ints("probes");
        if (rooms.Concat(probes).Any(count => count is < 1 or > RetrievalOptions.ClustersLimit)) throw new ArgumentException($"--clusters and --probes take 1 to {RetrievalOptions.ClustersLimit:N0}.");

        var data = new AnnData(options["data"], options.Int("rows"), options.Int("dimensions"), options.Int("queries"), seed: 1);
        var bitmaps = new ValueBitmaps(data);
        double[] percents = options.Doubles("passes");
        AnnFilterSet[] filters = [.. percents.Select((percent, i) => AnnFilterSet.Make(data, bitmaps, percent, 1 + i))];
        var truth = new AnnTruth(data, filters, k, cancellation);
        uint[][] semanticIds = AnnClusters.Fit(data, levels: 2, codes, cancellation);
        Coarse[] indexes =
        [
            Make("1 code", new RetrievalOptions()),
            .. rooms.Select(room => Make($"2 codes, {room.ToString("N0", CultureInfo.InvariantCulture)}", new RetrievalOptions { CoarseLevels = 2, ClustersMax = room })),
        ];
        return Task.FromResult(Measure(indexes, data, filters, percents, truth, k, probes, Math.Max(1, options.Int("rounds")), cancellation));

        Coarse Make(string name, RetrievalOptions how)
        {
            AnnBenchmark.Say(name);
            var index = new FeedMeshIndex(data, semanticIds, how, cancellation);
            foreach (AnnFilterSet set in filters) index.Add(set);
            return new Coarse(name, index);
        }
    }

    private static Figures Measure(
        Coarse[] indexes, AnnData data, AnnFilterSet[] filters, double[] percents, AnnTruth truth, int k, int[] probes, int rounds, CancellationToken cancellation)
    {
        var figures = new Figures();
        var recall = new Dictionary<(Coarse, double, int), double>();
        for (int round = 0; round < rounds; round++)
        {
            foreach (Coarse one in indexes)
            {
                foreach ((AnnFilterSet set, double percent) in filters.Zip(percents))
                {
                    foreach (int least in probes)
                    {
                        (int[][] answers, double ms) = Answer(one.Index, set, k, least, cancellation);
                        recall[(one, percent, least)] = truth.Recall(set, k, answers);
                        one.BestMs[(percent, least)] = Math.Min(ms, one.BestMs.GetValueOrDefault((percent, least), double.PositiveInfinity));
                    }
                }
            }
        }

        var rows = new List<string[]>();
        foreach (Coarse one in indexes)
        {
            double bytes = one.Index.Index.Bytes / (double)data.Rows;
            string key = one.Name.Replace(" ", "_", StringComparison.Ordinal).Replace(",", "", StringComparison.Ordinal);
            figures[$"{key}_bytes"] = bytes;
            foreach ((double percent, int least) in one.BestMs.Keys)
            {
                (double share, double ms) = (recall[(one, percent, least)], one.BestMs[(percent, least)]);
                rows.Add([one.Name, $"{one.Index.Index.Clusters.Length:N0}", $"{bytes:N0}", $"{percent}", $"{least}", $"{share:0.0000}", $"{ms:0.000}"]);
                figures[$"{key}_pass_{percent}_probes_{least}_recall"] = share;
                figures[$"{key}_pass_{percent}_probes_{least}_ms"] = ms;
            }
        }

        Figures.Print($"{data.Rows:N0} x {data.Dimensions} {data.Kind}, {k} results", ["clusters of", "there are", "bytes a row", "pass %", "ProbesMin", "recall", "ms of processor"], rows);
        return figures;
    }

    private static (int[][] Answers, double Ms) Answer(FeedMeshIndex index, AnnFilterSet filters, int k, int probes, CancellationToken cancellation)
    {
        var answers = new int[index.QueryCount][];
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        for (int query = 0; query < answers.Length; query++)
        {
            answers[query] = [.. index.Search(filters, query, k, index.Index.Shape with { ProbesMin = probes, FarShareMax = 1 }, cancellation).Select(static hit => hit.State.Slot)];
        }

        return (answers, (Process.GetCurrentProcess().TotalProcessorTime - before).TotalMilliseconds / answers.Length);
    }
}
