using System.Globalization;

namespace Mesh.Benchmarks.Ann;

/// <summary>One line of the result: both sides at one pass rate, k and recall; null where a side does not get there.</summary>
internal sealed record AnnRow(AnnFilterSet Filters, SelectorCost Cost, int K, double Recall, bool IsBatch, AnnResult? FeedMesh, AnnResult? NewFilter, AnnResult? Faiss)
{
    public static readonly string[] Columns = ["pass %", "k", "recall", "ratio", "with selectors", "FeedMesh QPS", "its filter new", "FAISS QPS", "with selector", "FeedMesh by", "its filter new by", "FAISS by"];

    /// <summary>FeedMesh to FAISS, search alone.</summary>
    public double Ratio => FeedMesh is null || Faiss is null ? double.NaN : FeedMesh.Qps / Faiss.Qps;

    /// <summary>FAISS with its selector made for each query.</summary>
    public double FaissSelecting => Faiss is null ? double.NaN : Cost.FaissQps(Faiss.Qps, IsBatch);

    /// <summary>FeedMesh with its filter compiled, and asked for the first time, to FAISS with its selector made.</summary>
    public double RatioSelecting => NewFilter is null ? double.NaN : Cost.FeedMeshQps(NewFilter.Qps, IsBatch) / FaissSelecting;

    public IReadOnlyList<string> Cells =>
    [
        Percent(Filters.Percent), $"{K}", Recall.ToString("0.00", CultureInfo.InvariantCulture), Number(Ratio, "0.00"), Number(RatioSelecting, "0.00"),
        Number(FeedMesh?.Qps ?? double.NaN, "N0"), Number(NewFilter?.Qps ?? double.NaN, "N0"), Number(Faiss?.Qps ?? double.NaN, "N0"), Number(FaissSelecting, "N0"), FeedMesh?.Choice.Name ?? "-", NewFilter?.Choice.Name ?? "-", Faiss?.Choice.Name ?? "-",
    ];

    public void Write(Figures figures)
    {
        string key = $"pass{Percent(Filters.Percent)}_k{K}_r{Recall.ToString("0.00", CultureInfo.InvariantCulture)}_{(IsBatch ? "batch" : "single")}";
        (string Name, double Value)[] values =
        [
            ("ratio", Ratio), ("ratio_selecting", RatioSelecting), ("feedmesh_qps", FeedMesh?.Qps ?? double.NaN), ("feedmesh_new_filter_qps", NewFilter?.Qps ?? double.NaN), ("faiss_qps", Faiss?.Qps ?? double.NaN), ("faiss_selecting_qps", FaissSelecting),
        ];
        foreach ((string name, double value) in values)
        {
            if (!double.IsNaN(value)) figures[$"{key}_{name}"] = value;
        }
    }

    public static string Percent(double percent) => percent.ToString("0.###", CultureInfo.InvariantCulture);

    public static string Number(double value, string format) => double.IsNaN(value) ? "-" : value.ToString(format, CultureInfo.InvariantCulture);
}
