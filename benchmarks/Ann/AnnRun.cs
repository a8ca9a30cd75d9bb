using System.Diagnostics;
using System.Globalization;

namespace Mesh.Benchmarks.Ann;

/// <summary>Everything that is measured, and the tables of it.</summary>
internal sealed class AnnRun(
    AnnData data, AnnTruth truth, ValueBitmaps bitmaps, FeedMeshIndex index, AnnFilterSet[] filters, int[] ks, double[] recalls, double seconds, int rounds, CancellationToken cancellation)
{
    // Below it, the two sides do not search for the same thing.
    private const double ExactRecallMin = 0.999;

    // What is kept of a filter is made by its second search; the sweep is to see what the later ones take.
    private const int FirstSearches = 2;

    private readonly List<AnnRow> _rows = [];
    private readonly List<IReadOnlyList<string>> _shipped = [], _costs = [];
    private readonly Figures _figures = new();

    public async Task<Figures> RunAsync(List<AnnWay> mesh, AnnWay shipped, List<AnnWay> faiss, List<string> head)
    {
        long started = Stopwatch.GetTimestamp();
        foreach (AnnFilterSet set in filters)
        {
            var cost = SelectorCost.Measure(bitmaps, index, set, rounds);
            AddCost(set, cost);
            foreach (int k in ks)
            {
                AnnBenchmark.Say($"pass {AnnRow.Percent(set.Percent)} %, k {k} ({Stopwatch.GetElapsedTime(started).TotalSeconds:N0} s)");
                await MeasureAsync(set, cost, k, mesh, shipped, faiss);
            }
        }

        Print(head);
        return _figures;
    }

    private async Task MeasureAsync(AnnFilterSet set, SelectorCost cost, int k, List<AnnWay> mesh, AnnWay shipped, List<AnnWay> faiss)
    {
        var sweep = new AnnSweep(truth, set, k, recalls, cancellation);
        foreach (AnnWay exact in mesh.Where(way => way.KnobMax == 1))
        {
            for (int i = 0; i < FirstSearches; i++) await exact.AnswerAsync(set, k, 1, cancellation);
            double recall = await sweep.RecallAsync(exact);
            if (recall < ExactRecallMin) throw new InvalidOperationException($"{exact.Name} has a recall of {recall} at pass {set.Percent} %, k {k}; it looks at all rows, so one of the two sides is wrong.");
        }

        await sweep.ScoutAsync(mesh);
        await sweep.ScoutAsync(faiss);
        List<AnnWay> newFilters = [.. mesh.OfType<FeedMeshWay>().Select(way => way.WithNewFilters())];
        await sweep.ScoutAsync(newFilters);
        double shippedRecall = await sweep.RecallAsync(shipped);
        double[] shippedQps = new double[2];
        foreach (bool isBatch in (bool[])[false, true])
        {
            AnnResult?[][] results = await sweep.TimeAsync(set.IsOpen ? [faiss, mesh] : [faiss, mesh, newFilters], isBatch, seconds, rounds);
            for (int r = 0; r < recalls.Length; r++) Add(new AnnRow(set, cost, k, recalls[r], isBatch, results[1][r], results[^1][r], results[0][r]));
            shippedQps[isBatch ? 1 : 0] = await sweep.TimeAsync(shipped, isBatch, seconds, 1);
        }

        _shipped.Add([AnnRow.Percent(set.Percent), $"{k}", shippedRecall.ToString("0.0000", CultureInfo.InvariantCulture), AnnRow.Number(shippedQps[0], "N0"), AnnRow.Number(shippedQps[1], "N0")]);
        string key = $"shipped_pass{AnnRow.Percent(set.Percent)}_k{k}";
        (_figures[$"{key}_recall"], _figures[$"{key}_single_qps"], _figures[$"{key}_batch_qps"]) = (shippedRecall, shippedQps[0], shippedQps[1]);
    }

    private void Add(AnnRow row)
    {
        _rows.Add(row);
        row.Write(_figures);
        AnnBenchmark.Say($"  {(row.IsBatch ? "batch " : "single")} {string.Join("  ", row.Cells)}");
    }

    private void AddCost(AnnFilterSet set, SelectorCost cost)
    {
        if (set.IsOpen) return;

        double passing = 100 * set.Passing.Average() / data.Rows;
        string key = $"pass{AnnRow.Percent(set.Percent)}";
        (_figures[$"{key}_mean_percent"], _figures[$"{key}_selector_us"], _figures[$"{key}_selector_two_us"], _figures[$"{key}_compile_us"]) = (passing, cost.OneUs, cost.TwoUs, cost.CompileUs);
        _costs.Add([AnnRow.Percent(set.Percent), AnnRow.Percent(passing), $"{set.Passing.Min():N0}-{set.Passing.Max():N0}",
            set.MeanTerms.ToString("0.0", CultureInfo.InvariantCulture), Figures.Ms(cost.OneUs), Figures.Ms(cost.TwoUs), Figures.Ms(cost.CompileUs)]);
    }

    private void Print(List<string> head)
    {
        string what = $"{data.Rows:N0} x {data.Dimensions}, {data.Kind} data, {data.QueryCount} queries, medians of {rounds} x {seconds.ToString(CultureInfo.InvariantCulture)} s";
        Console.WriteLine();
        foreach (string line in head) Console.WriteLine(line);
        Figures.Print($"one query at a time, the better of one and two threads ({what})", AnnRow.Columns, _rows.Where(row => !row.IsBatch).Select(row => row.Cells));
        Figures.Print($"batches of 16 on two threads ({what})", AnnRow.Columns, _rows.Where(row => row.IsBatch).Select(row => row.Cells));
        Figures.Print("FeedMesh with the options that it is shipped with", ["pass %", "k", "recall", "single QPS", "batch QPS"], _shipped);
        Figures.Print("filters: 7 conditions on 6 attributes; us a query", ["asked %", "passing %", "rows", "values", "selector, 1 thread", "2 threads", "FeedMesh compiles"], _costs);
    }
}
