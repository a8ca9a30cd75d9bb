using System.Collections.Concurrent;
using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Tests;

public sealed class BatcherTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Meters _meters = new();
    private readonly FakeModel _graph = new("m");
    private readonly LoadedModel _model;

    public BatcherTests() => _model = new LoadedModel(_graph, "mini", new Breaker(5, TimeSpan.FromSeconds(10), TimeProvider.System));

    public void Dispose() => _meters.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1_500)]
    public async Task Every_row_comes_back_in_its_place(int count)
    {
        using CandidateBatcher batcher = Batcher();
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());

        float[] rows = await batcher.ScoreAsync(_model, context, Rows("i", count), CancellationToken.None);

        Assert.Equal(Reference(context, "i", count), rows);
        Assert.Equal(0, batcher.QueuedRows);
    }

    [Fact]
    public async Task Requests_that_wait_share_a_run_in_turn_and_each_gets_its_own_rows()
    {
        using CandidateBatcher batcher = Batcher(workers: 1);
        using var hold = new Hold(_graph);
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters()), other = await batcher.EncodeAsync(_model, null, [new HistoryItem { AuthorId = "x" }], new Waiters());
        Task<float[]> first = batcher.ScoreAsync(_model, context, Rows("first", 10), CancellationToken.None);
        await hold.Entered;

        Task<float[]> large = batcher.ScoreAsync(_model, context, Rows("large", 1_000), CancellationToken.None);
        Task<float[]> small = batcher.ScoreAsync(_model, other, Rows("small", 5), CancellationToken.None);
        hold.Release();
        await Task.WhenAll(first, large, small).WaitAsync(Patience);

        Assert.Equal(Reference(context, "first", 10), await first);
        Assert.Equal(Reference(context, "large", 1_000), await large);
        Assert.Equal(Reference(other, "small", 5), await small);
        // The small one is in the very next run although the large one came before it and fills several.
        Assert.Contains((0, 5), hold.Runs[1]);
        Assert.Equal(8, hold.Runs[1].Count);
    }

    [Fact]
    public async Task Free_threads_share_one_large_request()
    {
        using CandidateBatcher batcher = Batcher(workers: 2);
        using var both = new Barrier(2);
        bool met = true;
        _graph.Running = _ => met &= both.SignalAndWait(Patience);

        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Assert.True(SpinWait.SpinUntil(() => batcher.IdleWorkers == 2, Patience));
        await batcher.ScoreAsync(_model, context, Rows("i", 128), CancellationToken.None).WaitAsync(Patience);

        Assert.True(met, "the two chunks did not run at once");
        Assert.Equal([64, 64], _graph.RowsOfRuns);
    }

    [Fact]
    public async Task A_batch_waits_for_a_request_that_is_about_to_come_and_only_then()
    {
        using CandidateBatcher batcher = Batcher(workers: 1, waitMs: 50);
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        await batcher.ScoreAsync(_model, context, Rows("alone", 3), CancellationToken.None);

        Task<float[]> first;
        using (batcher.Announce())
        {
            first = batcher.ScoreAsync(_model, context, Rows("first", 3), CancellationToken.None);
            Task<float[]> second = batcher.ScoreAsync(_model, context, Rows("second", 4), CancellationToken.None);
            await Task.WhenAll(first, second).WaitAsync(Patience);
        }

        Assert.Equal([3, 7], _graph.RowsOfRuns);
    }

    [Fact]
    public async Task Past_the_queue_a_request_is_turned_away_at_once_and_one_that_leaves_makes_room()
    {
        using CandidateBatcher batcher = Batcher(workers: 1, queued: 100);
        using var hold = new Hold(_graph);
        using var leaves = new CancellationTokenSource();
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Task<float[]> running = batcher.ScoreAsync(_model, context, Rows("running", 10), CancellationToken.None);
        await hold.Entered;
        Task<float[]> waiting = batcher.ScoreAsync(_model, context, Rows("waiting", 80), leaves.Token);

        FallbackException refused = await Assert.ThrowsAsync<FallbackException>(() => batcher.ScoreAsync(_model, context, Rows("refused", 30), CancellationToken.None));
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(0, batcher.QueuedRows);
        Task<float[]> admitted = batcher.ScoreAsync(_model, context, Rows("admitted", 90), CancellationToken.None);
        hold.Release();

        Assert.Equal(FallbackKind.Overloaded, refused.Fallback.Kind);
        Assert.Equal(Reference(context, "running", 10), await running.WaitAsync(Patience));
        Assert.Equal(Reference(context, "admitted", 90), await admitted.WaitAsync(Patience));
    }

    [Fact]
    public async Task A_request_that_breaks_the_graph_falls_alone()
    {
        using CandidateBatcher batcher = Batcher(workers: 1);
        using var hold = new Hold(_graph);
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Task<float[]> running = batcher.ScoreAsync(_model, context, Rows("running", 1), CancellationToken.None);
        await hold.Entered;
        _graph.Output = item => item == "bad-3" ? float.NaN : 0.5f;

        Task<float[]> bad = batcher.ScoreAsync(_model, context, Rows("bad", 5), CancellationToken.None);
        Task<float[]> good = batcher.ScoreAsync(_model, context, Rows("good", 5), CancellationToken.None);
        hold.Release();

        FallbackException failed = await Assert.ThrowsAsync<FallbackException>(() => bad.WaitAsync(Patience));
        Assert.Equal(FallbackKind.Failed, failed.Fallback.Kind);
        Assert.Contains("NaN", failed.Message, StringComparison.Ordinal);
        Assert.Equal(Reference(context, "good", 5), await good.WaitAsync(Patience));
        await running;
    }

    [Fact]
    public async Task A_model_lives_until_the_last_run_on_it_has_ended()
    {
        using CandidateBatcher batcher = Batcher(workers: 1);
        using var hold = new Hold(_graph);
        using var leaves = new CancellationTokenSource();
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Task<float[]> running = batcher.ScoreAsync(_model, context, Rows("running", 10), leaves.Token);
        await hold.Entered;

        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        _model.Dispose();
        Assert.False(_graph.IsDisposed);
        hold.Release();

        Assert.True(SpinWait.SpinUntil(() => _graph.IsDisposed, Patience));
    }

    [Fact]
    public async Task A_sequence_that_nobody_waits_for_any_more_is_not_encoded_and_makes_room()
    {
        using CandidateBatcher batcher = Batcher(workers: 1, encodings: 2);
        using var hold = new Hold(_graph);
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Task<float[]> running = batcher.ScoreAsync(_model, context, Rows("running", 1), CancellationToken.None);
        await hold.Entered;
        Waiters leaves = new(), isLeft = new(), stays = new();
        isLeft.Join();

        Task<ContextState> deserted = Queue("deserted", leaves), half = Queue("half", isLeft), refused = Queue("refused", new Waiters());
        leaves.Leave();
        isLeft.Leave();
        Task<ContextState> admitted = Queue("admitted", stays); // the deserted one made room
        stays.Leave();
        hold.Release();

        await half.WaitAsync(Patience);
        Assert.Equal(FallbackKind.Overloaded, (await Assert.ThrowsAsync<FallbackException>(() => refused.WaitAsync(Patience))).Fallback.Kind);
        foreach (Task<ContextState> dropped in new[] { deserted, admitted })
        {
            Assert.Equal(FallbackKind.Late, (await Assert.ThrowsAsync<FallbackException>(() => dropped.WaitAsync(Patience))).Fallback.Kind);
        }

        Assert.Equal(2, _graph.Encodings);
        await running;

        Task<ContextState> Queue(string author, Waiters waiters) => batcher.EncodeAsync(_model, null, [new HistoryItem { AuthorId = author }], waiters);
    }

    [Fact]
    public async Task Encodings_and_batches_take_turns()
    {
        using CandidateBatcher batcher = Batcher(workers: 1);
        using var hold = new Hold(_graph);
        ContextState context = await batcher.EncodeAsync(_model, null, [], new Waiters());
        Task<float[]> running = batcher.ScoreAsync(_model, context, Rows("running", 1), CancellationToken.None);
        await hold.Entered;
        var order = new ConcurrentQueue<string>();
        _graph.Encoding = () => order.Enqueue("encode");
        Task[] encodings = [.. Enumerable.Range(0, 3).Select(i => batcher.EncodeAsync(_model, null, [new HistoryItem { AuthorId = $"{i}" }], new Waiters()))];
        Task<float[]> scores = batcher.ScoreAsync(_model, context, Rows("waiting", 1_024), CancellationToken.None);
        hold.Next = () => order.Enqueue("run");
        hold.Release();
        await Task.WhenAll([.. encodings, scores, running]).WaitAsync(Patience);

        Assert.Equal(["encode", "run", "encode", "run", "encode"], order);
    }

    private CandidateBatcher Batcher(int workers = 2, double waitMs = 0, int queued = 20_000, int encodings = 256) => new(
        new TransformerOptions { Workers = workers, BatchWaitMs = waitMs, QueuedCandidatesMax = queued, QueuedEncodingsMax = encodings, ChunkRows = 64, ChunksMax = 8 }, _meters.Metrics);

    private static CandidateRows Rows(string prefix, int count) =>
        new([.. Enumerable.Range(0, count).Select(i => new Candidate { ItemId = $"{prefix}-{i}" })], [.. Enumerable.Range(0, count)], new CandidateMoment(1, 72, ""));

    // One run of all rows by a model of its own: what any split and any company must give.
    private float[] Reference(ContextState context, string prefix, int count)
    {
        var output = new float[count * 14];
        new FakeModel("m") { Output = _graph.Output }.Run([new Chunk(context, Rows(prefix, count), 0, count, output)], count);
        return output;
    }

    /// <summary>Holds the first run of a model until it is released.</summary>
    private sealed class Hold : IDisposable
    {
        private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _released = new();

        public Hold(FakeModel model) => model.Running = chunks =>
        {
            Runs.Add(chunks);
            _entered.TrySetResult();
            if (Runs.Count == 1) Assert.True(_released.Wait(Patience));
            else Next();
        };

        public Task Entered => _entered.Task.WaitAsync(Patience);

        public List<IReadOnlyList<(int First, int Count)>> Runs { get; } = [];

        public Action Next { get; set; } = () => { };

        public void Release() => _released.Set();

        public void Dispose()
        {
            _released.Set();
            _released.Dispose();
        }
    }
}
