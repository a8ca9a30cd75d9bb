using System.Net;
using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Ranker.Tests;

/// <summary>prepare, score and what they say to each other, over a model whose probabilities are hashes of what it was given.</summary>
public sealed class TransformerProtocolTests : IDisposable
{
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.FromUnixTimeMilliseconds(ScoreRequests.NowMs));
    private readonly FakeModel _model = new("m-1");
    private readonly FakeModelStore _store;
    private readonly RankerApp _app;

    public TransformerProtocolTests()
    {
        _store = FakeModelStore.With(_model);
        _app = new RankerApp(store: _store, clock: _clock);
    }

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task A_prepared_context_scores_as_the_sequence_itself_does()
    {
        ScoreRequest whole = ScoreRequests.Request(seed: 1, 30);
        PrepareResponse prepared = await _app.PrepareAsync(Prepare(whole)), again = await _app.PrepareAsync(Prepare(whole));
        int encodings = _model.Encodings;

        ScoreResponse named = await _app.ScoreAsync(Named(whole, prepared)), carried = await _app.ScoreAsync(whole);

        Assert.Equal((32, "m-1", false), (prepared.ContextId.Length, prepared.ModelVersion, prepared.Cached));
        Assert.Equal((prepared.ContextId, true), (again.ContextId, again.Cached));
        Assert.Equal(("transformer", "m-1", "", false), (named.Arm, named.ModelVersion, named.FallbackReason, named.ContextMissing));
        Assert.Equal(carried.Scores, named.Scores);
        Assert.Equal(encodings, _model.Encodings);
        Assert.All(named.Scores, score => Assert.Equal(score.Probabilities.Zip(named.Weights, (p, w) => (double)p * w).Sum(), score.Score, 1e-5));
    }

    [Fact]
    public async Task A_context_that_is_not_here_is_asked_for_and_nothing_is_scored()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 5);
        PrepareResponse prepared = await _app.PrepareAsync(Prepare(request));
        foreach (ScoreRequest unknown in new[]
        {
            Named(request, new PrepareResponse { ContextId = new string('0', 32) }),
            With(Named(request, prepared), copy => copy.UserId = "somebody-else"),
            With(Named(request, prepared), copy => (copy.Arm, copy.ContextId) = ("heuristic", "nothing")),
        })
        {
            ScoreResponse missing = await _app.ScoreAsync(unknown);

            Assert.True(missing.ContextMissing);
            Assert.Empty(missing.Scores);
        }

        ScoreResponse sentAgain = await _app.ScoreAsync(With(request, copy => copy.ContextId = new string('0', 32)));
        Assert.Equal(("transformer", 5), (sentAgain.Arm, sentAgain.Scores.Count));
    }

    [Fact]
    public async Task A_context_of_another_version_is_not_taken_for_the_one_that_the_candidates_are_of()
    {
        var newer = new FakeModel("m-2");
        _store.Add("next", newer);
        ScoreRequest request = ScoreRequests.Request(seed: 1, 5);
        PrepareResponse prepared = await _app.PrepareAsync(Prepare(request));
        Assert.Equal("SUCCESS", await _app.DeliverAsync(new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = 5, Version = "m-2", Path = "next" }));

        ScoreResponse missing = await _app.ScoreAsync(With(Named(request, prepared), copy => copy.ModelVersion = "m-2"));
        ScoreResponse again = await _app.ScoreAsync(With(request, copy => (copy.ModelVersion, copy.ContextId) = ("m-2", prepared.ContextId)));

        Assert.True(missing.ContextMissing);
        Assert.Equal(("transformer", "m-2"), (again.Arm, again.ModelVersion));
    }

    [Fact]
    public async Task A_sequence_that_is_sent_is_scored_with_whatever_older_context_is_named_beside_it()
    {
        ScoreRequest older = ScoreRequests.Request(seed: 1, 5);
        PrepareResponse prepared = await _app.PrepareAsync(Prepare(older));
        ScoreRequest newer = With(older, copy =>
        {
            copy.SequenceVersion++;
            ScoreRequests.Did(copy, "just-now", "like", ScoreRequests.NowMs - 1);
        });

        ScoreResponse expected = await _app.ScoreAsync(newer), both = await _app.ScoreAsync(With(newer, copy => copy.ContextId = prepared.ContextId));

        Assert.Equal(expected.Scores, both.Scores);
        Assert.NotEqual((await _app.ScoreAsync(older)).Scores, both.Scores);
    }

    [Fact]
    public async Task A_score_without_the_name_joins_the_encoding_of_what_was_prepared_though_its_history_has_similarities()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 5);
        await _app.PrepareAsync(Prepare(request));
        int encodings = _model.Encodings;

        ScoreResponse response = await _app.ScoreAsync(With(request, copy =>
        {
            foreach (HistoryItem item in copy.History) item.Similarity = 0.25f;
        }));

        Assert.Equal("transformer", response.Arm);
        Assert.Equal(encodings, _model.Encodings);
    }

    [Fact]
    public async Task A_hundred_scores_at_once_encode_once()
    {
        using var held = new ManualResetEventSlim();
        ScoreRequest request = ScoreRequests.Request(seed: 1, 20);
        _ = _app.Services;
        int encodings = _model.Encodings;
        _model.Encoding = () => Assert.True(held.Wait(TimeSpan.FromSeconds(30)));
        using var meters = new Meters(_app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());

        Task<ScoreResponse>[] all = [.. Enumerable.Range(0, 100).Select(i => _app.ScoreAsync(With(request, copy => copy.RequestId = $"r{i}")))];
        Assert.True(SpinWait.SpinUntil(() => meters["mesh.ranker.context.lookups outcome=joined"] == 99, TimeSpan.FromSeconds(30)), "not all joined");
        held.Set();
        ScoreResponse[] responses = await Task.WhenAll(all);

        Assert.Equal(encodings + 1, _model.Encodings);
        Assert.All(responses, response => Assert.Equal("transformer", response.Arm));
        Assert.All(responses, response => Assert.Equal(responses[0].Scores, response.Scores));
    }

    [Fact]
    public async Task A_second_page_is_served_from_the_cache_bit_by_bit_and_the_same_as_without_it()
    {
        using var uncached = new RankerApp(new() { ["Ranker:Transformer:ScoreCacheSeconds"] = "0" }, FakeModelStore.With(new FakeModel("m-1")), _clock);
        ScoreRequest request = ScoreRequests.Request(seed: 1, 100);
        ScoreResponse first = await _app.ScoreAsync(request);
        int runs = _model.Runs;

        ScoreResponse second = await _app.ScoreAsync(request), without = await uncached.ScoreAsync(request);
        _clock.Advance(TimeSpan.FromSeconds(301));
        await _app.ScoreAsync(With(request, copy => copy.NowMs += 301_000));

        Assert.Equal(first, second);
        Assert.Equal(first, without);
        Assert.True(_model.Runs > runs);
    }

    [Fact]
    public async Task A_late_model_is_answered_for_by_the_heuristic_in_time()
    {
        using var held = new ManualResetEventSlim();
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        ScoreResponse heuristic = await _app.ScoreAsync(With(request, copy => copy.Arm = "heuristic"));
        PrepareResponse prepared = await _app.PrepareAsync(Prepare(request));
        using var meters = new Meters(_app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        using var entered = new SemaphoreSlim(0);
        _model.Running = _ =>
        {
            entered.Release();
            Assert.True(held.Wait(TimeSpan.FromSeconds(30)));
        };

        Task<ScoreResponse> late = _app.ScoreAsync(Named(request, prepared), budgetMs: 1_000);
        Assert.True(await entered.WaitAsync(TimeSpan.FromSeconds(30)));
        _clock.Advance(TimeSpan.FromMilliseconds(961));
        ScoreResponse response = await late;
        held.Set();

        Assert.Equal("heuristic", response.Arm);
        Assert.StartsWith("late: ", response.FallbackReason, StringComparison.Ordinal);
        Assert.Equal(heuristic.Scores, response.Scores);
        Assert.Equal(1, meters["mesh.ranker.fallbacks reason=late"]);
    }

    [Fact]
    public async Task A_sequence_whose_time_is_over_in_the_queue_is_not_encoded_and_has_no_name()
    {
        using var held = new ManualResetEventSlim();
        using var entered = new SemaphoreSlim(0);
        using var app = new RankerApp(new() { ["Ranker:Transformer:Workers"] = "1" }, _store, _clock);
        ScoreRequest first = ScoreRequests.Request(seed: 1, 5), second = ScoreRequests.Request(seed: 2, 5), third = ScoreRequests.Request(seed: 3, 5);
        using var meters = new Meters(app.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
        int encodings = _model.Encodings;
        _model.Encoding = () =>
        {
            entered.Release();
            Assert.True(held.Wait(TimeSpan.FromSeconds(30)));
        };

        Task<PrepareResponse> running = app.PrepareAsync(Prepare(first), budgetMs: 10_000);
        Assert.True(await entered.WaitAsync(TimeSpan.FromSeconds(30)));
        Task<PrepareResponse> late = app.PrepareAsync(Prepare(second), budgetMs: 200), shared = app.PrepareAsync(Prepare(third), budgetMs: 200);
        Assert.True(SpinWait.SpinUntil(() => meters["mesh.ranker.context.lookups outcome=miss"] == 3, TimeSpan.FromSeconds(30)), "not all queued");
        Task<ScoreResponse> joined = app.ScoreAsync(third, budgetMs: 10_000);
        Assert.True(SpinWait.SpinUntil(() => meters["mesh.ranker.context.lookups outcome=joined"] == 1, TimeSpan.FromSeconds(30)), "the score did not join");
        _clock.Advance(TimeSpan.FromMilliseconds(161));
        PrepareResponse[] nameless = [await late, await shared];
        held.Set();

        Assert.Equal("transformer", (await joined).Arm);
        Assert.NotEmpty((await running).ContextId);
        Assert.All(nameless, response => Assert.Empty(response.ContextId));
        Assert.Equal(encodings + 2, _model.Encodings);
    }

    [Fact]
    public async Task What_is_no_probability_is_answered_for_by_the_heuristic_until_the_breaker_lets_a_probe_through()
    {
        using var app = new RankerApp(new() { ["Ranker:Transformer:BreakerFailures"] = "3" }, _store, _clock);
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        await app.PrepareAsync(Prepare(request));
        _model.Output = _ => float.NaN;

        for (int i = 0; i < 3; i++) Assert.StartsWith("failed: ", (await app.ScoreAsync(request)).FallbackReason, StringComparison.Ordinal);
        _model.Output = null;
        ScoreResponse open = await app.ScoreAsync(request);
        _clock.Advance(TimeSpan.FromSeconds(10));
        ScoreResponse probe = await app.ScoreAsync(request), closed = await app.ScoreAsync(request);

        Assert.StartsWith("breaker_open: ", open.FallbackReason, StringComparison.Ordinal);
        Assert.Equal("heuristic", open.Arm);
        Assert.All(open.Scores, score => Assert.True(float.IsFinite(score.Score)));
        Assert.Equal(("transformer", "transformer"), (probe.Arm, closed.Arm));
    }

    [Theory]
    [InlineData(1.0000001f)]
    [InlineData(-0.1f)]
    [InlineData(float.PositiveInfinity)]
    public async Task Outputs_outside_0_to_1_are_refused(float output)
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        await _app.PrepareAsync(Prepare(request));
        _model.Output = _ => output;

        Assert.StartsWith("failed: ", (await _app.ScoreAsync(request)).FallbackReason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_saturated_sigmoid_is_pulled_inside()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 2);
        await _app.PrepareAsync(Prepare(request));
        _model.Output = item => item == "item-0" ? 0 : 1;

        ScoreResponse response = await _app.ScoreAsync(request);

        Assert.Equal("transformer", response.Arm);
        Assert.All(response.Scores, score => Assert.All(score.Probabilities, p => Assert.True(p is > 0 and < 1)));
    }

    [Fact]
    public async Task A_failing_encoding_falls_back_and_is_tried_again_by_the_next_request()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        _ = _app.Services;
        _model.Encoding = () => throw new InvalidOperationException("broken graph");

        PrepareResponse prepared = await _app.PrepareAsync(Prepare(request));
        ScoreResponse broken = await _app.ScoreAsync(request);
        _model.Encoding = () => { };
        ScoreResponse mended = await _app.ScoreAsync(request);

        Assert.Empty(prepared.ContextId);
        Assert.Contains("broken graph", broken.FallbackReason, StringComparison.Ordinal);
        Assert.Equal("transformer", mended.Arm);
    }

    [Fact]
    public async Task Explore_draws_an_order_per_request_that_a_retry_repeats()
    {
        ScoreRequest request = With(ScoreRequests.Request(seed: 1, 2_000), copy => copy.Arm = "explore");

        ScoreResponse first = await _app.ScoreAsync(request), again = await _app.ScoreAsync(request);
        ScoreResponse other = await _app.ScoreAsync(With(request, copy => copy.RequestId = "another"));

        Assert.Equal(first.Scores, again.Scores);
        Assert.Equal(("explore", "explore-1"), (first.Arm, first.ModelVersion));
        Assert.All(first.Scores, score => Assert.Equal(score.Probabilities.Zip(first.Weights, (p, w) => (double)p * w).Sum(), score.Score, 1e-5));
        double[] draws = [.. first.Scores.Select(score => (double)score.Probabilities[0])], others = [.. other.Scores.Select(score => (double)score.Probabilities[0])];
        // Uniform, and independent between requests: each within four standard errors.
        Assert.InRange(draws.Average(), 0.5 - 0.026, 0.5 + 0.026);
        Assert.All(Enumerable.Range(0, 10), tenth => Assert.InRange(draws.Count(draw => (int)(draw * 10) == tenth), 146, 254));
        Assert.InRange(draws.Zip(others, (x, y) => (x - 0.5) * (y - 0.5) * 12).Average(), -0.09, 0.09);
    }

    [Fact]
    public async Task Without_a_model_the_default_arm_is_answered_by_the_heuristic_which_says_so()
    {
        using var app = new RankerApp();
        ScoreRequest request = ScoreRequests.Request(seed: 1, 3);

        PrepareResponse prepared = await app.PrepareAsync(Prepare(request));
        ScoreResponse response = await app.ScoreAsync(request);

        Assert.Empty(prepared.ContextId);
        Assert.Equal(("heuristic", "heuristic-1"), (response.Arm, response.ModelVersion));
        Assert.StartsWith("no_model: ", response.FallbackReason, StringComparison.Ordinal);
        Assert.Empty((await app.ScoreAsync(With(request, copy => copy.Arm = "heuristic"))).FallbackReason);
    }

    [Fact]
    public async Task Every_fault_of_a_request_is_named_at_once()
    {
        ScoreRequest request = With(ScoreRequests.Request(seed: 1, 3), copy =>
        {
            copy.UserId = new string('u', 129);
            copy.Surface = new string('s', 65);
            copy.ContextId = new string('c', 200);
            copy.ModelVersion = new string('m', 200);
            copy.Candidates[2].Codes.Add(new uint[17]);
            copy.Sequence.Values.Add(1);
        });
        var prepare = new PrepareRequest { UserId = request.UserId, ModelVersion = request.ModelVersion, Sequence = request.Sequence };
        for (int i = 0; i < 5_000; i++) prepare.History.Add(new HistoryItem());

        using HttpResponseMessage score = await _app.PostAsync(request), refused = await _app.PostAsync("prepare", prepare, null);

        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest), (score.StatusCode, refused.StatusCode));
        string scoreBody = await score.Content.ReadAsStringAsync(), prepareBody = await refused.Content.ReadAsStringAsync();
        foreach (string named in new[] { "user_id", "surface", "context_id", "model_version", "[2] has 17 codes", "61 values" })
            Assert.Contains(named, scoreBody, StringComparison.Ordinal);
        foreach (string named in new[] { "user_id", "model_version", "5000 items", "61 values" }) Assert.Contains(named, prepareBody, StringComparison.Ordinal);
    }

    internal static PrepareRequest Prepare(ScoreRequest request) => new()
    {
        UserId = request.UserId, SequenceVersion = request.SequenceVersion, Sequence = request.Sequence, History = { request.History }, ModelVersion = request.ModelVersion,
    };

    internal static ScoreRequest Named(ScoreRequest request, PrepareResponse prepared) => With(request, copy =>
    {
        copy.ContextId = prepared.ContextId;
        copy.Sequence = null;
        copy.History.Clear();
    });

    internal static ScoreRequest With(ScoreRequest request, Action<ScoreRequest> change)
    {
        ScoreRequest copy = request.Clone();
        change(copy);
        return copy;
    }
}
