using System.Globalization;
using Spectre.Console;

namespace Mesh.Benchmarks;

/// <summary>
/// How soon a published change can be retrieved while queries run, and what the changes cost the queries: in one replica fed as by its
/// delta topic, through the whole mesh, and by rebuilding the same pool and swapping it. With <c>--stress</c>, readers check rows for that
/// many minutes while the writer changes them as fast as it can.
/// </summary>
internal sealed class FreshnessBenchmark : IBenchmark
{
    public string Name => "freshness";

    public string Summary => "publish-to-retrievable and query latency under updates: one replica, the whole mesh, rebuild-and-swap";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["items"] = "200000",
        ["dimensions"] = "64",
        ["rate"] = "1000",
        ["seconds"] = "20",
        ["rounds"] = "3",
        ["meshitems"] = "5000",
        ["stress"] = "0",
        ["parts"] = "replica,rebuild,mesh",
        ["seed"] = "1",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        var figures = new Figures();
        string[] parts = options["parts"].Split(',');
        var rows = new List<string[]>();
        if (parts.Contains("replica") || parts.Contains("rebuild"))
        {
            using var replica = new ReplicaFreshness(options);
            if (parts.Contains("replica")) rows.Add(Row("deltas, one replica", await replica.UpdateInPlaceAsync(cancellation), figures, "replica"));
            if (parts.Contains("rebuild")) rows.Add(Row("rebuild and swap", await replica.RebuildAsync(cancellation), figures, "rebuild"));
        }

        if (rows.Count > 0)
        {
            Print($"freshness: {options["items"]} x {options["dimensions"]}, {options["rate"]} updates/s, vector searches k 300, one client, {Environment.ProcessorCount} cores", rows);
        }

        if (parts.Contains("mesh"))
        {
            Print(
                $"freshness through the mesh: {options["meshitems"]} items, feeds of 30, one client, everything on {Environment.ProcessorCount} cores",
                [Row("POST to retrievable", await MeshFreshness.RunAsync(options, cancellation), figures, "mesh")]);
        }

        if (options.Int("stress") > 0) await StressRows.RunAsync(TimeSpan.FromMinutes(options.Int("stress")), options, figures, cancellation);
        return figures;
    }

    private static void Print(string title, List<string[]> rows) => Figures.Print(
        title, ["way", "query p99 on/off", "updates/s", "fresh p50 ms", "p99 ms", "max ms", "query p50 off", "p99 off", "p50 on", "p99 on", "queries on"], rows);

    private static string[] Row(string way, Freshness result, Figures figures, string name)
    {
        double[] fresh = [.. result.DelaysMs.Order()];
        double ratio = result.On.Percentile(99) / result.Off.Percentile(99);
        (figures[$"{name}_fresh_p50_ms"], figures[$"{name}_fresh_p99_ms"]) = (At(fresh, 0.5), At(fresh, 0.99));
        (figures[$"{name}_query_p99_ratio"], figures[$"{name}_updates_per_second"]) = (ratio, result.UpdatesPerSecond);
        (figures[$"{name}_query_p99_off_ms"], figures[$"{name}_query_p99_on_ms"]) = (result.Off.Percentile(99), result.On.Percentile(99));
        return
        [
            way, ratio.ToString("0.00", CultureInfo.InvariantCulture), $"{result.UpdatesPerSecond:0}", Figures.Ms(At(fresh, 0.5)), Figures.Ms(At(fresh, 0.99)), Figures.Ms(fresh.LastOrDefault()),
            Text(result.Off.Percentile(50)), Text(result.Off.Percentile(99)), Text(result.On.Percentile(50)), Text(result.On.Percentile(99)), $"{result.On.LatenciesMs.Length}",
        ];
    }

    private static string Text(double milliseconds) => milliseconds.ToString("0.00", CultureInfo.InvariantCulture);

    private static double At(double[] sorted, double share) => sorted.Length == 0 ? double.NaN : sorted[(int)Math.Min(sorted.Length - 1, share * sorted.Length)];
}

/// <summary>What one way gave: queries without and with updates beside them, and milliseconds from publishing a change to finding it.</summary>
internal sealed record Freshness(LoadResult Off, LoadResult On, IReadOnlyList<double> DelaysMs, double UpdatesPerSecond);
