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
        if (!options.Ints("folds").Contains(1)) throw new ArgumentException($"--folds is {options["folds"]}; ratios are to plain attention, so 1 must be among them.");
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

    private static Figures Read(byte[] json)
    {
        var figures = new Figures();
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement[] rows = [.. document.RootElement.GetProperty("rows").EnumerateArray()];
        foreach (JsonElement row in rows)
        {
            (double step, double memory) = StepOf(row);
            (double plainStep, double plainMemory) = StepOf(rows.First(other => Int(other, "L") == Int(row, "L") && Int(other, "k") == 1));
            string name = $"L{Int(row, "L")}_k{Int(row, "k")}";
            figures[$"{name}_auc"] = row.GetProperty("AUC").GetDouble();
            figures[$"{name}_step_ms"] = step;
            figures[$"{name}_step_ratio"] = plainStep / step;
            figures[$"{name}_memory_ratio"] = plainMemory / memory;
        }

        return figures;
    }

    private static (double StepMs, double Memory) StepOf(JsonElement row) => (row.GetProperty("step ms").GetDouble(), row.GetProperty("MiB").GetDouble());

    private static int Int(JsonElement row, string name) => row.GetProperty(name).GetInt32();
}
