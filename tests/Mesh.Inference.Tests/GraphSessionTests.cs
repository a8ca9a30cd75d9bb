using Mesh.Inference.Features;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Mesh.Inference.Tests;

public sealed class GraphSessionTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_candidate_scores_the_same_bits_alone_among_1500_shuffled_and_in_any_batch(int threads)
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { IntraOpThreads = threads });
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Ranking);
        ModelManifest model = package.Manifest;
        var random = new Random(3);
        CandidateTensors all = RandomCandidates(model, 1_500, random);
        Dictionary<string, TensorBuffer> state = Encode(package, RandomHistory(model, 1, random));
        float[] expected = Score(package, state, all, 1, 1_500);

        foreach (int count in new[] { 1, 2, 3, 7, 10, 100, 500, 1_500 })
        {
            int[] picked = [.. Enumerable.Range(0, 1_500).ToArray().OrderBy(_ => random.Next()).Take(count)];
            int rows = Math.Max(count, ModelPackage.RowsMin);
            foreach (int batch in new[] { 1, 3 })
            {
                var some = new CandidateTensors(model.SemanticIds, batch, rows);
                int user = batch - 1; // the others hold the same context and rows that stand for nothing
                for (int i = 0; i < count; i++) CopyRow(all, picked[i], some, (user * rows) + i);

                float[] scores = Score(package, Repeat(state, batch), some, batch, rows);

                for (int i = 0; i < count; i++)
                {
                    ReadOnlySpan<float> actual = scores.AsSpan(((user * rows) + i) * 14, 14);
                    Assert.True(actual.SequenceEqual(expected.AsSpan(picked[i] * 14, 14)), $"candidate {picked[i]} among {count} in a batch of {batch} with {threads} threads");
                }
            }
        }
    }

    [Fact]
    public void A_context_is_the_same_bits_alone_and_in_a_batch()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Ranking);
        HistoryTensors three = RandomHistory(package.Manifest, 3, new Random(5));
        var alone = new HistoryTensors(package.Manifest.Features, package.Manifest.SemanticIds, 1);
        foreach ((string name, TensorBuffer buffer) in three.ByName) buffer.Rows(2, 1).CopyTo(alone.ByName[name].AllBytes);

        Dictionary<string, TensorBuffer> together = Encode(package, three);
        Dictionary<string, TensorBuffer> single = Encode(package, alone);

        foreach ((string name, TensorBuffer buffer) in single) Assert.True(buffer.AllBytes.SequenceEqual(together[name].Rows(2, 1)), name);
    }

    [Fact]
    public async Task Runs_under_way_finish_when_the_package_is_disposed_of_and_later_ones_are_refused()
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { IntraOpThreads = 1, ConcurrentRuns = 4 });
        for (int round = 0; round < 5; round++)
        {
            ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Ranking);
            CandidateTensors candidates = RandomCandidates(package.Manifest, 50, new Random(round));
            Dictionary<string, TensorBuffer> state = Encode(package, RandomHistory(package.Manifest, 1, new Random(round)));
            float[] expected = Score(package, state, candidates, 1, 50);
            var started = new SemaphoreSlim(0);

            Task<(int Done, bool Refused)>[] callers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
            {
                for (int done = 0; ; done++)
                {
                    if (!package.TryLease()) return (done, true);
                    try
                    {
                        float[] scores = await ScoreAsync(package, state, candidates, 1, 50);
                        Assert.Equal(expected, scores);
                    }
                    finally
                    {
                        package.Return();
                    }

                    started.Release();
                }
            }))];
            for (int i = 0; i < 8; i++) await started.WaitAsync();
            package.Dispose();

            Assert.All(await Task.WhenAll(callers), caller => Assert.True(caller.Refused));
            await Assert.ThrowsAsync<ObjectDisposedException>(() => ScoreAsync(package, state, candidates, 1, 50));
        }
    }

    [Fact]
    public void A_lease_returned_twice_is_a_fault()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.None);
        package.Dispose();

        Assert.Throws<InvalidOperationException>(package.Return);
    }

    [Fact]
    public async Task A_cancelled_run_ends_early_and_the_gate_is_free_again()
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { IntraOpThreads = 1, ConcurrentRuns = 1 });
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Ranking);
        CandidateTensors candidates = RandomCandidates(package.Manifest, 20_000, new Random(1));
        Dictionary<string, TensorBuffer> state = Encode(package, RandomHistory(package.Manifest, 1, new Random(1)));
        for (int attempt = 0; ; attempt++)
        {
            using var cancelled = new CancellationTokenSource();
            var output = new TensorBuffer(TensorElement.Float, 1, 20_000, 14);
            Task run = Task.Run(() => package.Candidates.RunAsync(Inputs(state, candidates), Outputs(output), cancelled.Token));
            while (runtime.Gate.CurrentCount > 0 && !run.IsCompleted) await Task.Yield(); // until it runs
            await cancelled.CancelAsync();
            Exception? stopped = await Record.ExceptionAsync(() => run);
            Assert.Equal(1, runtime.Gate.CurrentCount);
            if (stopped is null && attempt < 100) continue; // it was done before it could be stopped: the machine was busy with others

            Assert.IsAssignableFrom<OperationCanceledException>(stopped);
            Assert.Equal(0, output.Floats[^1]); // it did not run to its end
            return;
        }
    }

    [Fact]
    public async Task Runs_past_the_limit_wait()
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { ConcurrentRuns = 1 });
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Item);
        var tokens = new TensorBuffer(TensorElement.Int64, 2, package.Manifest.Features.TokensMax);
        await runtime.Gate.WaitAsync();

        Task run = package.Item.RunAsync(new Dictionary<string, TensorBuffer> { ["tokens"] = tokens }, new Dictionary<string, TensorBuffer>(), CancellationToken.None);

        Assert.False(run.IsCompleted);
        runtime.Gate.Release();
        await run;
    }

    [Fact]
    public async Task Inputs_that_are_missing_or_of_another_shape_are_named()
    {
        using InferenceRuntime runtime = Runtimes.Create();
        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Item);
        var none = new Dictionary<string, TensorBuffer>();

        ArgumentException missing = await Assert.ThrowsAsync<ArgumentException>(() => package.Item.RunAsync(none, none, CancellationToken.None));
        ArgumentException wide = await Assert.ThrowsAsync<ArgumentException>(() => package.Item.RunAsync(
            new Dictionary<string, TensorBuffer> { ["tokens"] = new(TensorElement.Int64, 2, 5) }, none, CancellationToken.None));

        Assert.Contains("item.onnx needs the input tokens Int64[-1,32]", missing.Message, StringComparison.Ordinal);
        Assert.Contains("the buffer for tokens Int64[-1,32] is Int64[2,5]", wide.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_CUDA_graphs_run_on_the_CPU_and_the_log_says_why()
    {
        var log = new ListLogger();
        using var runtime = new InferenceRuntime(Options.Create(new InferenceOptions { Provider = InferenceOptions.Cuda }), log);

        using ModelPackage package = Runtimes.LoadMini(runtime, ModelGraphs.Item);

        if (runtime.Provider == InferenceOptions.Cuda) return; // a build with CUDA on a machine that has it: nothing is missing
        Assert.Single(log.Lines, line => line.StartsWith("Warning: Execution provider cuda cannot be used", StringComparison.Ordinal) && line.Contains("-p:Gpu=true", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_CUDA_graphs_are_refused_where_the_options_say_so()
    {
        using InferenceRuntime runtime = Runtimes.Create(new InferenceOptions { Provider = InferenceOptions.Cuda, OnProviderMissing = ProviderMissing.Refuse, CudaDeviceId = 255 });

        ModelRejectedException refused = Assert.Throws<ModelRejectedException>(() => Runtimes.LoadMini(runtime));

        Assert.Contains("Inference:OnProviderMissing is Refuse", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1_000)]
    public void Buffers_lie_at_multiples_of_64_bytes_whatever_their_size(int length)
    {
        var buffers = Enumerable.Range(0, 20).Select(i => new TensorBuffer(i % 2 == 0 ? TensorElement.Float : TensorElement.Int64, length + i)).ToArray();

        Assert.All(buffers, buffer => Assert.Equal(0, buffer.Address % 64));
    }

    private static Dictionary<string, TensorBuffer> Encode(ModelPackage package, HistoryTensors history)
    {
        var state = package.ContextState.ToDictionary(spec => spec.Name, spec => spec.Allocate(history.Batch));
        package.Context.Run(history.ByName, state, CancellationToken.None);
        return state;
    }

    private static Dictionary<string, TensorBuffer> Repeat(Dictionary<string, TensorBuffer> state, int batch) => state.ToDictionary(entry => entry.Key, entry =>
    {
        var repeated = new TensorBuffer(entry.Value.Element, [batch, .. entry.Value.Shape[1..]]);
        for (int row = 0; row < batch; row++) entry.Value.AllBytes.CopyTo(repeated.Rows(row, 1));
        return repeated;
    });

    private static float[] Score(ModelPackage package, Dictionary<string, TensorBuffer> state, CandidateTensors candidates, int batch, int rows) =>
        ScoreAsync(package, state, candidates, batch, rows).GetAwaiter().GetResult();

    private static async Task<float[]> ScoreAsync(ModelPackage package, Dictionary<string, TensorBuffer> state, CandidateTensors candidates, int batch, int rows)
    {
        var output = new TensorBuffer(TensorElement.Float, batch, rows, 14);
        await package.Candidates.RunAsync(Inputs(state, candidates), Outputs(output), CancellationToken.None);
        return output.Floats.ToArray();
    }

    private static Dictionary<string, TensorBuffer> Inputs(Dictionary<string, TensorBuffer> state, CandidateTensors candidates) => new([.. state, .. candidates.ByName]);

    private static Dictionary<string, TensorBuffer> Outputs(TensorBuffer probabilities) => new() { ["probabilities"] = probabilities };

    private static HistoryTensors RandomHistory(ModelManifest model, int batch, Random random)
    {
        var tensors = new HistoryTensors(model.Features, model.SemanticIds, batch);
        foreach (ref long code in tensors.Codes.Longs) code = random.Next(model.SemanticIds.CodesPerLevel);
        foreach (ref long author in tensors.Authors.Longs) author = random.Next(1, 50);
        foreach (ref float action in tensors.Actions.Floats) action = random.Next(4) == 0 ? 1 : 0;
        foreach (ref long gap in tensors.Gaps.Longs) gap = random.Next(32);
        tensors.Mask.Floats.Fill(1);
        return tensors;
    }

    private static CandidateTensors RandomCandidates(ModelManifest model, int rows, Random random)
    {
        var tensors = new CandidateTensors(model.SemanticIds, 1, rows);
        foreach (ref long code in tensors.Codes.Longs) code = random.Next(model.SemanticIds.CodesPerLevel);
        foreach (ref long author in tensors.Authors.Longs) author = random.Next(1, 50);
        foreach (ref long age in tensors.Ages.Longs) age = random.Next(32);
        foreach (ref float value in tensors.Dense.Floats) value = random.NextSingle() - 0.5f;
        return tensors;
    }

    private static void CopyRow(CandidateTensors from, int row, CandidateTensors to, int toRow)
    {
        Copy(from.Codes, to.Codes);
        Copy(from.Authors, to.Authors);
        Copy(from.Ages, to.Ages);
        Copy(from.Dense, to.Dense);

        void Copy(TensorBuffer source, TensorBuffer target)
        {
            int width = source.Bytes / (int)(source.Shape[0] * source.Shape[1]);
            source.AllBytes.Slice(row * width, width).CopyTo(target.AllBytes[(toRow * width)..]);
        }
    }

    private sealed class ListLogger : ILogger<InferenceRuntime>
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel}: {formatter(state, exception)}");
    }
}
