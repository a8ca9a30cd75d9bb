using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using static Mesh.Ranker.Tests.TransformerProtocolTests;

namespace Mesh.Ranker.Tests;

/// <summary>Scores that several requests share, and what a failed run does to the others.</summary>
public sealed class SharedScoreTests : IDisposable
{
    private const int RunFailed = 4012, BreakerOpened = 4010;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.FromUnixTimeMilliseconds(ScoreRequests.NowMs));
    private readonly FakeModel _model = new("m-1");
    private readonly ManualResetEventSlim _released = new();

    public void Dispose() => _released.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Where_an_early_refresh_fails_or_is_late_the_old_scores_answer(bool late)
    {
        // Every run takes a second, and each request is lucky: -ln(draw) * 1e6 s is beyond any age.
        using RankerApp app = App(new() { ["Ranker:Transformer:EarlyRefreshBeta"] = "1000000" });
        using var meters = new Meters(app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        ScoreRequest request = ScoreRequests.Request(seed: 1, 100);
        _model.Running = _ => _clock.Advance(TimeSpan.FromSeconds(1));
        ScoreResponse first = await app.ScoreAsync(request);
        var entered = new TaskCompletionSource();
        _model.Running = _ =>
        {
            entered.TrySetResult();
            if (late) Assert.True(_released.Wait(Patience));
        };
        _model.Output = late ? null : _ => float.NaN;

        Task<ScoreResponse> refreshing = app.ScoreAsync(request, budgetMs: 1_000);
        await entered.Task.WaitAsync(Patience);
        if (late) _clock.Advance(TimeSpan.FromMilliseconds(961));
        ScoreResponse second = await refreshing.WaitAsync(Patience);
        _released.Set();

        Assert.Equal(first, second);
        Assert.Equal(100, meters["mesh.ranker.score_cache.lookups outcome=early_refresh"]);
        Assert.Equal(late ? 0 : 1, app.Logs.Of(RunFailed).Length);
    }

    [Fact]
    public async Task Where_the_request_that_computes_for_others_leaves_one_of_them_computes_for_the_rest()
    {
        using RankerApp app = App(new() { ["Ranker:Transformer:Workers"] = "1" });
        using var meters = new Meters(app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        await app.PrepareAsync(Prepare(request));
        _model.RowsOfRuns.Clear();
        var entered = new TaskCompletionSource();
        _model.Running = _ =>
        {
            entered.TrySetResult();
            Assert.True(_released.Wait(Patience));
        };

        Task<ScoreResponse> leader = app.ScoreAsync(request, budgetMs: 1_000);
        await entered.Task.WaitAsync(Patience);
        Task<ScoreResponse>[] joiners = [.. Enumerable.Range(0, 5).Select(_ => app.ScoreAsync(request, budgetMs: 60_000))];
        Assert.True(SpinWait.SpinUntil(() => meters["mesh.ranker.score_cache.lookups outcome=joined"] == 50, Patience), "not all joined");
        _clock.Advance(TimeSpan.FromMilliseconds(961));
        ScoreResponse left = await leader.WaitAsync(Patience);
        _released.Set();
        ScoreResponse[] served = await Task.WhenAll(joiners).WaitAsync(Patience);

        Assert.StartsWith("late: ", left.FallbackReason, StringComparison.Ordinal);
        Assert.All(served, response => Assert.Equal("transformer", response.Arm));
        Assert.All(served, response => Assert.Equal(served[0].Scores, response.Scores));
        Assert.Equal([10, 10], _model.RowsOfRuns); // of who left, and of one for all five
    }

    [Fact]
    public async Task What_the_cache_serves_does_not_close_the_breaker_and_failures_are_logged_once_in_a_while()
    {
        using RankerApp app = App(new() { ["Ranker:Transformer:BreakerFailures"] = "4" });
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        await app.ScoreAsync(request);
        _model.Output = _ => float.NaN;

        for (int i = 0; i < 3; i++) Assert.StartsWith("failed: ", (await FailAsync(i)).FallbackReason, StringComparison.Ordinal);
        int loggedAtFirst = app.Logs.Of(RunFailed).Length;
        ScoreResponse held = await app.ScoreAsync(request);
        ScoreResponse fourth = await FailAsync(3), fifth = await FailAsync(4);

        Assert.Equal(("transformer", ""), (held.Arm, held.FallbackReason));
        Assert.StartsWith("failed: ", fourth.FallbackReason, StringComparison.Ordinal);
        Assert.StartsWith("breaker_open: ", fifth.FallbackReason, StringComparison.Ordinal);
        Assert.Equal((1, 1, 1), (loggedAtFirst, app.Logs.Of(RunFailed).Length, app.Logs.Of(BreakerOpened).Length));

        Task<ScoreResponse> FailAsync(int i) => app.ScoreAsync(With(request, copy => copy.Surface = $"other-{i}"));
    }

    [Fact]
    public async Task An_encoding_that_many_wait_for_and_that_fails_is_one_failure()
    {
        using RankerApp app = App(new() { ["Ranker:Transformer:BreakerFailures"] = "2" });
        using var meters = new Meters(app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        _model.Encoding = () =>
        {
            Assert.True(_released.Wait(Patience));
            throw new InvalidOperationException("broken graph");
        };

        Task<ScoreResponse>[] waiting = [.. Enumerable.Range(0, 6).Select(_ => app.ScoreAsync(request))];
        Assert.True(SpinWait.SpinUntil(() => meters["mesh.ranker.context.lookups outcome=joined"] == 5, Patience), "not all joined");
        _released.Set();
        ScoreResponse[] failed = await Task.WhenAll(waiting).WaitAsync(Patience);
        _model.Encoding = () => { };
        ScoreResponse next = await app.ScoreAsync(request);

        Assert.All(failed, response => Assert.Contains("broken graph", response.FallbackReason, StringComparison.Ordinal));
        Assert.Equal(("transformer", ""), (next.Arm, next.FallbackReason));
        Assert.Empty(app.Logs.Of(BreakerOpened));
        Assert.Single(app.Logs.Of(RunFailed));
    }

    [Fact]
    public async Task Requests_without_candidates_leave_nothing_in_the_cache()
    {
        using RankerApp app = App([]);

        for (int user = 0; user < 20; user++)
        {
            ScoreResponse response = await app.ScoreAsync(With(ScoreRequests.Request(seed: 1, 0), copy => copy.UserId = $"user-{user}"));
            Assert.Equal(("transformer", 0), (response.Arm, response.Scores.Count));
        }

        Assert.Equal(0, app.Services.GetRequiredService<ScoreCache>().Bytes);
    }

    // Without a budget of its own a request has all the time of a clock that stands still.
    private RankerApp App(Dictionary<string, string?> settings)
    {
        settings["Ranker:Transformer:TimeoutMs"] = "60000";
        return new RankerApp(settings, FakeModelStore.With(_model), _clock);
    }
}
