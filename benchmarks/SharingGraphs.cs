using System.Security.Cryptography;
using Mesh.Inference;
using Microsoft.Extensions.Logging.Abstractions;

namespace Mesh.Benchmarks;

/// <summary>Sizes of one comparison, and what they cost in floating-point operations.</summary>
internal sealed record SharingShape(int History, int Folding, int Candidates)
{
    public const int Width = 128, Layers = 4, Globals = 4, Actions = 14;
    private const double Linear = 2.0 * Width * ((3 * Width) + Width + (8 * Width)); // of one token in one layer

    public string Name => $"L{History}-k{Folding}";

    /// <summary>Tokens that candidates attend to: the folded history, the latest event, the global tokens.</summary>
    public int Tokens => Globals + 1 + (History / Folding);

    public double CandidateFlops => Candidates * ((Layers * (Linear + (4.0 * (Tokens + 1) * Width))) + (2.0 * Width * Actions));

    /// <summary>The last layer gives keys and values only.</summary>
    public double ContextFlops => Tokens * (((Layers - 1) * (Linear + (4.0 * Tokens * Width))) + (6.0 * Width * Width));

    public double MaskedFlops => Sequence(Tokens + Candidates);

    /// <summary>Every candidate with a history of its own.</summary>
    public double ReencodedFlops => Candidates * Sequence(Tokens + 1);

    private static double Sequence(double tokens) => Layers * tokens * (Linear + (4 * tokens * Width));
}

/// <summary>The graphs of training/feedmesh/benchmarks/sharing.py, exported once into a cache that is named by the scripts' content.</summary>
internal static class SharingGraphs
{
    public static async Task<string> ExportAsync(string python, int[] lengths, CancellationToken cancellation)
    {
        string[] sources = [.. Directory.EnumerateFiles(Path.Combine(TorchScript.Folder, "feedmesh", "nn"), "*.py").Append(Path.Combine(TorchScript.Folder, "feedmesh", "benchmarks", "sharing.py")).Order(StringComparer.Ordinal)];
        byte[] content = [.. sources.SelectMany(File.ReadAllBytes)];
        string folder = Path.Combine(TorchScript.Folder, "..", "artifacts", "sharing", Convert.ToHexStringLower(SHA256.HashData(content))[..12]);
        int[] missing = [.. lengths.Where(length => !File.Exists(Path.Combine(folder, $"L{length}.done")))];
        if (missing.Length > 0)
        {
            TorchScript torch = await TorchScript.FindAsync(python, cancellation);
            await torch.RunAsync("feedmesh.benchmarks.sharing", ["--out", folder, "--lengths", string.Join(',', missing)], cancellation);
        }

        return folder;
    }

    public static InferenceRuntime Runtime(int threads, int runs, bool spin) => new(
        Microsoft.Extensions.Options.Options.Create(new InferenceOptions { IntraOpThreads = threads, ConcurrentRuns = runs, AllowSpinning = spin }), NullLogger<InferenceRuntime>.Instance);

    public static GraphSession Open(this InferenceRuntime runtime, string folder, string name) => runtime.Open(name, File.ReadAllBytes(Path.Combine(folder, $"{name}.onnx")));
}

/// <summary>The two graphs of one way to compute, with inputs: context once, candidates whole or in chunks.</summary>
internal sealed class TwoGraphs : IDisposable
{
    private readonly GraphSession _context;
    private readonly GraphSession _candidates;
    private readonly Dictionary<string, TensorBuffer> _history;
    private readonly Dictionary<string, TensorBuffer> _state;
    private readonly (Dictionary<string, TensorBuffer> In, Dictionary<string, TensorBuffer> Out)[] _chunks;

    /// <param name="step">Of sharing.py's ladder.</param>
    /// <param name="chunkRows">Candidates of one run; more runs go side by side as the runtime lets them.</param>
    public TwoGraphs(InferenceRuntime runtime, string folder, SharingShape shape, string step, SharingInputs inputs, int chunkRows)
    {
        // int8 changes the candidates' linear layers only; it reads the context of the served graphs.
        _context = runtime.Open(folder, $"{shape.Name}-{(step == "int8" ? "served" : step)}-context");
        _candidates = runtime.Open(folder, $"{shape.Name}-{step}-candidates");
        _history = new() { ["history"] = inputs.History };
        _state = _context.Outputs.ToDictionary(output => output.Name, output => output.Allocate());
        _chunks = [.. Enumerable.Range(0, (shape.Candidates + chunkRows - 1) / chunkRows).Select(chunk =>
        {
            int first = chunk * chunkRows, rows = Math.Min(chunkRows, shape.Candidates - first);
            var candidates = new TensorBuffer(TensorElement.Float, 1, rows, SharingShape.Width);
            inputs.Candidates.Floats.Slice(first * SharingShape.Width, rows * SharingShape.Width).CopyTo(candidates.Floats);
            return (new Dictionary<string, TensorBuffer>(_state) { ["candidates"] = candidates },
                new Dictionary<string, TensorBuffer> { ["probabilities"] = new(TensorElement.Float, 1, rows, SharingShape.Actions) });
        })];
        Encode();
    }

    public float[] Probabilities => [.. _chunks.SelectMany(chunk => chunk.Out["probabilities"].Floats.ToArray())];

    public void Encode() => _context.Run(_history, _state, CancellationToken.None);

    /// <summary>Scores all candidates; chunks go to as many threads as runs may be under way.</summary>
    public void Score(int callers)
    {
        if (callers == 1)
        {
            foreach (var (inputs, outputs) in _chunks) _candidates.Run(inputs, outputs, CancellationToken.None);
            return;
        }

        Parallel.For(0, _chunks.Length, new ParallelOptions { MaxDegreeOfParallelism = callers }, i => _candidates.Run(_chunks[i].In, _chunks[i].Out, CancellationToken.None));
    }

    /// <summary>Turns the order of all candidates around.</summary>
    public void Reverse()
    {
        float[][] rows = [.. _chunks.SelectMany(chunk => chunk.In["candidates"].Floats.ToArray().Chunk(SharingShape.Width)).Reverse()];
        int next = 0;
        foreach (var (inputs, _) in _chunks)
        {
            Span<float> candidates = inputs["candidates"].Floats;
            for (int at = 0; at < candidates.Length; at += SharingShape.Width) rows[next++].CopyTo(candidates[at..]);
        }
    }

    public void Dispose()
    {
        _context.Dispose();
        _candidates.Dispose();
    }
}

/// <summary>History and candidates in one sequence, B of them with <c>rows</c> candidates each.</summary>
internal sealed class MaskedGraph : IDisposable
{
    private readonly GraphSession _graph;
    private readonly Dictionary<string, TensorBuffer> _inputs;
    private readonly Dictionary<string, TensorBuffer> _outputs;

    public MaskedGraph(InferenceRuntime runtime, string folder, SharingShape shape, SharingInputs inputs, int batch, int rows)
    {
        _graph = runtime.Open(folder, $"{shape.Name}-masked");
        var history = new TensorBuffer(TensorElement.Float, [batch, .. inputs.History.Shape[1..]]);
        for (int user = 0; user < batch; user++) inputs.History.Floats.CopyTo(history.Floats[(user * inputs.History.Length)..]);
        var candidates = new TensorBuffer(TensorElement.Float, batch, rows, SharingShape.Width);
        inputs.Candidates.Floats[..candidates.Length].CopyTo(candidates.Floats);
        int all = shape.Tokens + rows;
        var mask = new TensorBuffer(TensorElement.Float, all, all);
        for (int row = 0; row < all; row++)
        {
            mask.Floats.Slice((row * all) + shape.Tokens, rows).Fill(-10_000); // candidates are hidden from all
            if (row >= shape.Tokens) mask.Floats[(row * all) + row] = 0;       // but themselves
        }

        _inputs = new() { ["history"] = history, ["candidates"] = candidates, ["mask"] = mask };
        _outputs = new() { ["probabilities"] = new(TensorElement.Float, batch, rows, SharingShape.Actions) };
    }

    public float[] Probabilities => _outputs["probabilities"].Floats.ToArray();

    public void Run() => _graph.Run(_inputs, _outputs, CancellationToken.None);

    public void Dispose() => _graph.Dispose();
}

/// <summary>One history and the candidates, the same for every way of computing.</summary>
internal sealed record SharingInputs(TensorBuffer History, TensorBuffer Candidates)
{
    public static SharingInputs Draw(SharingShape shape, int seed)
    {
        var inputs = new SharingInputs(
            new TensorBuffer(TensorElement.Float, 1, shape.History, SharingShape.Width / shape.Folding), new TensorBuffer(TensorElement.Float, 1, shape.Candidates, SharingShape.Width));
        var random = new Random(seed);
        foreach (ref float value in inputs.History.Floats) value = Normal(random);
        foreach (ref float value in inputs.Candidates.Floats) value = Normal(random);
        return inputs;
    }
    private static float Normal(Random random) => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
}
