using System.Text.Json;

namespace Mesh.Benchmarks;

/// <summary>GACT against plain attention in training: quality, step time and memory, as training/feedmesh/evaluate measures and prints them.</summary>
internal sealed class GactBenchmark : IBenchmark
{
    public string Name => "gact";

    public string Summary => "GACT against plain attention: AUC, step time, memory (PyTorch)";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["lengths"] = "800,2000",
        ["folds"] = "1,2,4,6",
        ["seeds"] = "3",
        ["steps"] = "300",
        ["out"] = "", // default: the script's own, where it goes on from an earlier run
        ["python"] = "",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        TorchScript torch = await TorchScript.FindAsync(options["python"], cancellation);
        string json = Path.GetTempFileName();
        try
        {
            string[] passed = [.. new[] { "lengths", "folds", "seeds", "steps", "out" }.Where(name => options[name].Length > 0).SelectMany(name => new[] { $"--{name}", options[name] })];
            await torch.RunAsync("feedmesh.evaluate", ["gact", .. passed, "--json", json], cancellation);
            return Read(await File.ReadAllBytesAsync(json, cancellation));
        }
        finally
        {
            File.Delete(json);
        }
    }

    // Rows of one length follow one another, plain attention (k = 1) first.
    private static Figures Read(byte[] json)
    {
        var figures = new Figures();
        using JsonDocument document = JsonDocument.Parse(json);
        (double Step, double Memory) plain = default;
        foreach (JsonElement row in document.RootElement.GetProperty("rows").EnumerateArray())
        {
            (double step, double memory) = (row.GetProperty("step ms").GetDouble(), row.GetProperty("MiB").GetDouble());
            if (row.GetProperty("k").GetInt32() == 1) plain = (step, memory);
            string name = $"L{row.GetProperty("L").GetInt32()}_k{row.GetProperty("k").GetInt32()}";
            figures[$"{name}_auc"] = row.GetProperty("AUC").GetDouble();
            figures[$"{name}_step_ms"] = step;
            figures[$"{name}_step_ratio"] = plain.Step / step;
            figures[$"{name}_memory_ratio"] = plain.Memory / memory;
        }

        return figures;
    }
}
