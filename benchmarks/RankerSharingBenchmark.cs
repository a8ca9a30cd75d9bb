using System.Diagnostics;
using System.Globalization;
using Mesh.Inference;

namespace Mesh.Benchmarks;

/// <summary>
/// What sharing the context saves: two graphs against one big masked sequence and against encoding the history again for each
/// candidate; plain and folded; and the steps that made the candidate graph fast. All of one run, so that ratios hold on a
/// busy machine: rounds go through every way in turn, and a time is the lower quartile. Only encoding again, which takes seconds
/// where the others take milliseconds, has few rounds of its own and one way of using threads.
/// </summary>
internal sealed class RankerSharingBenchmark : IBenchmark
{
    private const int ChunkRows = 125;
    private const int ReencodeBatch = 20, ReencodeRounds = 4;
    private const int GemmSide = 1536;

    public string Name => "ranker-sharing";

    public string Summary => "two graphs against a masked sequence and re-encoding per candidate (ONNX Runtime)";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["lengths"] = "512,2000",
        ["candidates"] = "1000",
        ["rounds"] = "20",
        ["seconds"] = "5",
        ["seed"] = "1",
        ["python"] = "",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int[] lengths = options.Ints("lengths");
        int candidates = options.Int("candidates"), rounds = options.Int("rounds");
        if (lengths.Length == 0 || lengths.Any(length => length is < 4 or > 8_192 || length % 4 != 0)) throw new ArgumentException("--lengths are multiples of 4 up to 8192.");
        if (candidates is < 40 or > 5_000 || rounds is < 4 or > 1_000) throw new ArgumentException("--candidates is 40 to 5000 and --rounds 4 to 1000.");

        string folder = await SharingGraphs.ExportAsync(options["python"], lengths, cancellation);
        var figures = new Figures();
        double[] peaks = [.. new[] { 1, 2 }.Select(threads => Gemm(folder, threads, rounds))];
        (figures["gemm_1_gflops"], figures["gemm_2_gflops"]) = (peaks[0], peaks[1]);
        foreach (int length in lengths)
        {
            Compare(folder, length, options, peaks, figures, cancellation);
            Ladder(folder, length, options, peaks, figures, cancellation);
            Throughput(folder, length, options, figures, cancellation);
        }

        return figures;
    }

    private static void Compare(string folder, int length, BenchmarkOptions options, double[] peaks, Figures figures, CancellationToken cancellation)
    {
        using InferenceRuntime sleeping = SharingGraphs.Runtime(2, 1, spin: false), spinning = SharingGraphs.Runtime(2, 1, spin: true), apart = SharingGraphs.Runtime(1, 2, spin: false);
        var rows = new List<string[]>();
        double plainMasked = 0;
        foreach (int folding in new[] { 1, 4 })
        {
            var shape = new SharingShape(length, folding, options.Int("candidates"));
            SharingInputs inputs = SharingInputs.Draw(shape, options.Int("seed"));
            using var slept = new TwoGraphs(sleeping, folder, shape, "served", inputs, shape.Candidates);
            using var spun = new TwoGraphs(spinning, folder, shape, "served", inputs, shape.Candidates);
            using var cut = new TwoGraphs(apart, folder, shape, "served", inputs, ChunkRows);
            using var maskedSlept = new MaskedGraph(sleeping, folder, shape, inputs, batch: 1, shape.Candidates);
            using var maskedSpun = new MaskedGraph(spinning, folder, shape, inputs, batch: 1, shape.Candidates);
            using var again = new MaskedGraph(spinning, folder, shape, inputs, ReencodeBatch, rows: 1);

            double[] ms = Times(options.Int("rounds"), cancellation, slept.Encode, spun.Encode, cut.Encode,
                () => slept.Score(1), () => spun.Score(1), () => cut.Score(2), maskedSlept.Run, maskedSpun.Run);
            double context = ms[..3].Min(), held = ms[3..6].Min(), masked = ms[6..].Min(), fresh = context + held;
            double reencoded = Times(ReencodeRounds, cancellation, again.Run)[0] * shape.Candidates / ReencodeBatch;
            if (folding == 1) plainMasked = masked;
            float[] reference = maskedSlept.Probabilities;
            void Row(string way, double time, double flops, float[] result) => rows.Add([folding == 1 ? "plain" : $"folded, k = {folding}", way, Figures.Ms(time), Ratio(time, fresh), Ratio(time, held), Ratio(plainMasked, time),
                $"{flops / time / 1e6:0}", Difference(result, reference[..result.Length]).ToString("0.0e0", CultureInfo.InvariantCulture)]);
            Row("two graphs, context held", held, shape.CandidateFlops, cut.Probabilities);
            Row("two graphs, context and candidates", fresh, shape.ContextFlops + shape.CandidateFlops, slept.Probabilities);
            Row("one masked sequence", masked, shape.MaskedFlops, maskedSpun.Probabilities);
            Row("history encoded again per candidate (*)", reencoded, shape.ReencodedFlops, again.Probabilities);
            string name = $"L{length}_k{folding}";
            (figures[$"{name}_context_ms"], figures[$"{name}_candidates_ms"], figures[$"{name}_masked_ms"], figures[$"{name}_reencode_ms"]) = (context, held, masked, reencoded);
            (figures[$"{name}_masked_ratio"], figures[$"{name}_masked_ratio_held"]) = (masked / fresh, masked / held);
            (figures[$"{name}_reencode_ratio"], figures[$"{name}_reencode_ratio_held"]) = (reencoded / fresh, reencoded / held);
            (figures[$"{name}_plain_masked_ratio"], figures[$"{name}_plain_masked_ratio_held"]) = (plainMasked / fresh, plainMasked / held);
            figures[$"{name}_difference_e9"] = Difference(cut.Probabilities, reference) * 1e9;
        }

        Figures.Print(
            $"history {length} x {options["candidates"]} candidates, width 128, 4 layers, 4 heads, 14 outputs; lower quartile of {options["rounds"]} rounds in ms, each way but (*) with its\n"
            + $"best use of 2 threads: asleep or spinning between steps, or (candidates) {ChunkRows} rows a run and 2 runs side by side;\n"
            + $"a {GemmSide}^3 product reaches {peaks[0]:0} GFLOP/s on 1 thread, {peaks[1]:0} on 2. (*) timed on {ReencodeBatch} candidates in one batch, {ReencodeRounds} rounds,\n"
            + "threads that spin, extrapolated linearly",
            ["attention", "way", "ms", "x two graphs", "x context held", "x quicker than plain masked", "GFLOP/s", "max difference"], rows);
    }

    // Each step keeps the ones before it, but for the one that says or. int8 changes the function a little, so it stands last and outside the comparison.
    private static void Ladder(string folder, int length, BenchmarkOptions options, double[] peaks, Figures figures, CancellationToken cancellation)
    {
        using InferenceRuntime sleeping = SharingGraphs.Runtime(2, 1, spin: false), spinning = SharingGraphs.Runtime(2, 1, spin: true), apart = SharingGraphs.Runtime(1, 2, spin: false);
        var plain = new SharingShape(length, 1, options.Int("candidates"));
        SharingShape folded = plain with { Folding = 4 };
        SharingInputs inputs = SharingInputs.Draw(plain, options.Int("seed")), foldedInputs = SharingInputs.Draw(folded, options.Int("seed"));
        (string Step, SharingShape Shape, TwoGraphs Graphs, int Callers)[] ladder =
        [
            ("own score concatenated, 2 threads that sleep", plain, new TwoGraphs(sleeping, folder, plain, "concat", inputs, plain.Candidates), 1),
            ("softmax in two parts", plain, new TwoGraphs(sleeping, folder, plain, "two-part", inputs, plain.Candidates), 1),
            ("keys held transposed", plain, new TwoGraphs(sleeping, folder, plain, "transposed", inputs, plain.Candidates), 1),
            ("its sum as a column of ones", plain, new TwoGraphs(sleeping, folder, plain, "served", inputs, plain.Candidates), 1),
            ("or threads that spin inside a run", plain, new TwoGraphs(spinning, folder, plain, "served", inputs, plain.Candidates), 1),
            ($"{ChunkRows} rows a run, 2 runs of 1 thread", plain, new TwoGraphs(apart, folder, plain, "served", inputs, ChunkRows), 2),
            ("folded, k = 4", folded, new TwoGraphs(apart, folder, folded, "served", foldedInputs, ChunkRows), 2),
            ("linear layers on int8", folded, new TwoGraphs(apart, folder, folded, "int8", foldedInputs, ChunkRows), 2),
        ];
        double[] ms = Times(options.Int("rounds"), cancellation, [.. ladder.Select(rung => (Action)(() => rung.Graphs.Score(rung.Callers)))]);
        float[] plainResult = ladder[0].Graphs.Probabilities, foldedResult = ladder[^2].Graphs.Probabilities;
        Figures.Print(
            $"candidates on a held context, step by step: history {length}, {options["candidates"]} candidates",
            ["step", "ms", "x first", "GFLOP/s", "% of product", "max difference", "same bits in reverse order"],
            ladder.Select((rung, i) => (string[])[rung.Step, Figures.Ms(ms[i]), Ratio(ms[0], ms[i]), $"{rung.Shape.CandidateFlops / ms[i] / 1e6:0}", $"{rung.Shape.CandidateFlops / ms[i] / 1e4 / peaks[1]:0}",
                Difference(rung.Graphs.Probabilities, rung.Shape.Folding == 1 ? plainResult : foldedResult).ToString("0.0e0", CultureInfo.InvariantCulture), IsIsolated(rung.Graphs) ? "yes" : "NO"]));
        for (int i = 0; i < ladder.Length; i++) figures[$"L{length}_ladder_{i}_ms"] = ms[i];
        foreach (var rung in ladder) rung.Graphs.Dispose();
    }

    private static void Throughput(string folder, int length, BenchmarkOptions options, Figures figures, CancellationToken cancellation)
    {
        var rows = new List<string[]>();
        foreach (int folding in new[] { 1, 4 })
        {
            var shape = new SharingShape(length, folding, options.Int("candidates"));
            SharingInputs inputs = SharingInputs.Draw(shape, options.Int("seed"));
            foreach ((int threads, int callers, bool spin, int chunk) in new[]
            {
                (2, 1, false, shape.Candidates), (2, 1, true, shape.Candidates), (2, 2, false, shape.Candidates), (2, 2, true, shape.Candidates),
                (1, 1, false, shape.Candidates), (1, 2, false, shape.Candidates), (1, 2, false, ChunkRows),
            })
            {
                using InferenceRuntime runtime = SharingGraphs.Runtime(threads, callers, spin);
                TwoGraphs[] graphs = [.. Enumerable.Range(0, callers).Select(_ => new TwoGraphs(runtime, folder, shape, "served", inputs, chunk))];
                LoadResult load = Drive(graphs, TimeSpan.FromSeconds(options.Int("seconds")), cancellation);
                foreach (TwoGraphs graph in graphs) graph.Dispose();
                rows.Add([folding == 1 ? "plain" : $"folded, k = {folding}", $"{threads}{(spin ? ", spin" : "")}", $"{callers}", $"{chunk}", $"{load.RequestsPerSecond:0.0}", $"{load.RequestsPerSecond * shape.Candidates:0}",
                    Figures.Ms(load.Percentile(50)), Figures.Ms(load.Percentile(99))]);
                figures[$"L{length}_k{folding}_t{threads}{(spin ? "s" : "")}_c{callers}_r{chunk}_per_second"] = load.RequestsPerSecond;
            }
        }

        Figures.Print(
            $"requests of a context and {options["candidates"]} candidates, history {length}, {options["seconds"]} s each",
            ["attention", "threads of a run", "callers", "rows of a run", "requests/s", "candidates/s", "p50 ms", "p99 ms"], rows);
    }

    private static LoadResult Drive(TwoGraphs[] graphs, TimeSpan duration, CancellationToken cancellation)
    {
        var latencies = new List<double>();
        long started = Stopwatch.GetTimestamp();
        Thread[] callers = [.. graphs.Select(graph => new Thread(() =>
        {
            while (Stopwatch.GetElapsedTime(started) < duration && !cancellation.IsCancellationRequested)
            {
                long sent = Stopwatch.GetTimestamp();
                graph.Encode();
                graph.Score(1);
                lock (latencies) latencies.Add(Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
            }
        }))];
        foreach (Thread caller in callers) caller.Start();
        foreach (Thread caller in callers) caller.Join();
        cancellation.ThrowIfCancellationRequested();
        return new LoadResult([.. latencies.Order()], 0, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    private static double Gemm(string folder, int threads, int rounds)
    {
        using InferenceRuntime runtime = SharingGraphs.Runtime(threads, 1, spin: true);
        using GraphSession product = runtime.Open(folder, "gemm");
        var inputs = product.Inputs.ToDictionary(input => input.Name, input => input.Allocate());
        foreach (TensorBuffer input in inputs.Values) input.Floats.Fill(0.5f);
        var outputs = product.Outputs.ToDictionary(output => output.Name, output => output.Allocate());
        double ms = Times(rounds, CancellationToken.None, () => product.Run(inputs, outputs, CancellationToken.None))[0];
        return 2.0 * GemmSide * GemmSide * GemmSide / ms / 1e6;
    }

    // The first two rounds warm up. Each way runs twice in a row and the second counts: the first finds the cache full of another's data.
    private static double[] Times(int rounds, CancellationToken cancellation, params Action[] ways)
    {
        List<double>[] times = [.. ways.Select(_ => new List<double>())];
        for (int round = 0; round < rounds + 2; round++)
        {
            for (int way = 0; way < ways.Length; way++)
            {
                cancellation.ThrowIfCancellationRequested();
                ways[way]();
                long started = Stopwatch.GetTimestamp();
                ways[way]();
                if (round >= 2) times[way].Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }
        }

        return [.. times.Select(list => list.Order().ElementAt(list.Count / 4))];
    }

    private static bool IsIsolated(TwoGraphs graphs)
    {
        graphs.Score(1);
        float[] forward = graphs.Probabilities;
        graphs.Reverse();
        graphs.Score(1);
        float[] backward = graphs.Probabilities;
        graphs.Reverse();
        return forward.Chunk(SharingShape.Actions).Reverse().SelectMany(row => row).SequenceEqual(backward);
    }

    private static float Difference(float[] left, float[] right) => left.Zip(right, (x, y) => Math.Abs(x - y)).Max();

    private static string Ratio(double time, double by) => $"{time / by:0.0}x";
}
