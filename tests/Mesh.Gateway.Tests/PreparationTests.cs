using Mesh.Contracts;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>
/// The user's sequence is encoded while the candidates are searched. Whatever becomes of that, the page is the same and nobody
/// waits for it.
/// </summary>
public sealed class PreparationTests : IDisposable
{
    private const string Stage = "ranker-context";

    private readonly Bench _bench = new(Bench.ShippedYaml());
    private readonly Recorded _recorded;

    public PreparationTests()
    {
        _recorded = new Recorded(_bench.Meters);
        _bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "y")]);
        _bench.Services.Users["u"] = new UserContext
        {
            UserId = "u", Version = 5, Sequence = new Sequence { ItemIds = { "old", "twice", "new", "twice" }, Actions = Google.Protobuf.ByteString.CopyFrom(0, 1, 2, 3), TimesMs = { 1, 2, 3, 4 } },
        };
    }

    public void Dispose()
    {
        _recorded.Dispose();
        _bench.Dispose();
    }

    [Fact]
    public async Task A_context_encoded_while_retrieval_searches_is_named_in_place_of_the_sequence()
    {
        FeedSlate slate = await RunPreparedAsync();

        PrepareRequest prepare = Assert.Single(_bench.Services.Prepares);
        Assert.Equal((5L, "mini-1", slate.Query.RequestId), (prepare.SequenceVersion, prepare.ModelVersion, prepare.RequestId));
        Assert.Equal(["twice", "new", "old"], prepare.History.Select(item => item.ItemId)); // newest first, each once
        ScoreRequest score = Assert.Single(_bench.Services.Scores);
        Assert.Equal(("ctx-u", "mini-1", "transformer"), (score.ContextId, score.ModelVersion, score.Arm));
        Assert.True(score.Sequence is null && score.History.Count == 0);
        Assert.Equal((2, true, 0), (slate.Selected.Count, slate.Query.UsedPrepared, slate.Degraded.Count));
        Assert.Equal(1, Outcome("used"));
        Assert.True(slate.TimingsMs.ContainsKey(Stage));
    }

    [Fact]
    public async Task What_scoring_does_not_send_again_is_counted_to_the_byte()
    {
        UserContext user = _bench.Services.Users["u"];
        user.Sequence = new Sequence
        {
            ItemIds = { Enumerable.Range(0, 512).Select(i => $"item-{10_000 + i}") }, TimesMs = { Enumerable.Range(0, 512).Select(i => 1_790_000_000_000 + i) },
            Actions = Google.Protobuf.ByteString.CopyFrom(new byte[512]), Values = { new float[512] }, Surfaces = { new uint[512] }, SurfaceNames = { "home" },
        };
        await RunPreparedAsync();
        ScoreRequest named = _bench.Services.Scores.Single();
        _bench.Services.Down["prepare"] = true;
        await _bench.RunAsync(_bench.Query(arm: "transformer"));
        ScoreRequest whole = _bench.Services.Scores.Last();

        whole.RequestId = named.RequestId;
        whole.ContextId = named.ContextId;
        Assert.Equal(whole.CalculateSize() - named.CalculateSize(), _recorded.Sum("mesh.gateway.context.bytes_saved", null, null));
        Assert.True(named.CalculateSize() * 50 < whole.CalculateSize(), $"{named.CalculateSize()} of {whole.CalculateSize()} bytes");
    }

    [Theory]
    [InlineData("history")]
    [InlineData("prepare")]
    public async Task A_preparation_that_fails_costs_the_overlap_and_not_the_page(string service)
    {
        _bench.Services.Down[service] = true;

        FeedSlate slate = await RunPreparedAsync();

        AssertWhole(slate, "none");
        Assert.Equal(1, Without());
    }

    [Theory]
    [InlineData("history")]
    [InlineData("prepare")]
    public async Task A_preparation_that_never_answers_is_waited_for_no_longer_than_it_is_worth(string service)
    {
        _bench.Services.Hanging[service] = true;

        Task<FeedSlate> running = _bench.RunAsync(_bench.Query(arm: "transformer"));
        await LateAsync();

        AssertWhole(await running, "none");
        Assert.Equal(1, Without());
    }

    [Fact]
    public async Task A_preparation_that_is_nearly_done_when_the_candidates_are_there_is_used()
    {
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _bench.Services.Held["prepare"] = released.Task;

        Task<FeedSlate> running = _bench.RunAsync(_bench.Query(arm: "transformer"));
        await _recorded.HasAsync("mesh.gateway.stage.duration", "stage", "eligibility");
        Assert.Empty(_bench.Services.Scores);
        released.SetResult();

        Assert.True((await running).Query.UsedPrepared);
        Assert.Equal((1, 0), (Outcome("used"), Without()));
    }

    [Fact]
    public async Task A_preparation_is_late_once_whether_its_time_ends_before_or_while_the_ranker_scores()
    {
        _bench.Services.Hanging["prepare"] = true;
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _bench.Services.Held[AppIds.Ranker] = released.Task;

        Task<FeedSlate> running = _bench.RunAsync(_bench.Query(arm: "transformer"));
        await LateAsync();
        await _bench.Services.EnteredAsync(AppIds.Ranker);
        _bench.Clock.Advance(TimeSpan.FromMilliseconds(590)); // less than the ranker's 600
        released.SetResult();
        await running;
        _bench.Clock.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(1, Without());
    }

    [Fact]
    public async Task A_user_nobody_knows_and_one_of_an_arm_without_contexts_are_not_prepared()
    {
        await _bench.RunAsync(_bench.Query("stranger", arm: "transformer"));
        await _bench.RunAsync(_bench.Query(arm: "heuristic"));

        Assert.Empty(_bench.Services.Prepares);
        Assert.Equal(0, Without());
    }

    [Fact]
    public async Task A_ranker_that_cannot_encode_gets_the_sequence()
    {
        _bench.Services.OnPrepare = _ => new PrepareResponse();

        AssertWhole(await RunPreparedAsync(), "none");
    }

    [Fact]
    public async Task A_model_swapped_between_prepare_and_score_gets_everything_again()
    {
        _bench.Services.OnHistory = request => new HistoryResponse { ModelVersion = "mini-0" };

        FeedSlate slate = await RunPreparedAsync();

        AssertWhole(slate, "stale");
        Assert.Equal("mini-1", _bench.Services.Scores.Single().ModelVersion);
    }

    [Fact]
    public async Task A_ranker_that_restarted_after_prepare_is_asked_once_more_with_everything_in_the_time_that_is_left()
    {
        _bench.Services.OnScore = request =>
        {
            if (request.ContextId.Length == 0) return FakeServices.Score(request);
            _bench.Clock.Advance(TimeSpan.FromMilliseconds(150));
            return new ScoreResponse { ContextMissing = true };
        };

        FeedSlate slate = await RunPreparedAsync();

        Assert.Equal(["ctx-u", ""], _bench.Services.Scores.Select(score => score.ContextId));
        Assert.Equal((4, 3), (_bench.Services.Scores.Last().Sequence.ItemIds.Count, _bench.Services.Scores.Last().History.DistinctBy(item => item.ItemId).Count()));
        Assert.Equal([600, 450], _bench.Services.Budgets.Where(call => call.What == AppIds.Ranker).Select(call => call.Budget.TotalMilliseconds));
        Assert.Equal((2, false, 0), (slate.Selected.Count, slate.Query.UsedPrepared, slate.Degraded.Count));
        Assert.Equal((1, 0), (Outcome("missing"), Outcome("used")));
    }

    [Fact]
    public async Task A_ranker_that_misses_what_it_was_just_sent_is_not_asked_a_third_time()
    {
        _bench.Services.OnScore = _ => new ScoreResponse { ContextMissing = true };

        FeedSlate slate = await RunPreparedAsync();

        Assert.Equal(2, _bench.Services.Scores.Count);
        Assert.Equal(2, slate.Selected.Count);
        Assert.Contains("misses a context", Assert.Single(slate.Degraded).Reason);
        Assert.Equal("fallback-order", slate.Query.ServedArms["ranker"]);
    }

    [Fact]
    public async Task The_two_calls_of_a_preparation_share_its_time()
    {
        _bench.Services.OnHistory = request =>
        {
            _bench.Clock.Advance(TimeSpan.FromMilliseconds(200));
            return new HistoryResponse { ModelVersion = "mini-1" };
        };

        await RunPreparedAsync();

        Assert.Equal([700, 500], _bench.Services.Budgets.Where(call => call.What is "history" or "prepare").Select(call => call.Budget.TotalMilliseconds));
    }

    [Fact]
    public async Task A_refill_with_codes_of_another_model_is_scored_with_a_history_that_holds_none()
    {
        _bench.Services.OnRetrieve = request => request.Sources.Count > 1
            ? new RetrieveResponse { ModelVersion = "mini-1", Candidates = { FakeServices.Item("gone", "") }, History = { new HistoryItem { ItemId = "old", AuthorId = "w", Codes = { 1, 2 } } } }
            : new RetrieveResponse { ModelVersion = "mini-2", Candidates = { FakeServices.Item("c", "z") } };

        FeedSlate slate = await _bench.RunAsync(_bench.Query());

        ScoreRequest score = _bench.Services.Scores.Single();
        Assert.Equal(["c"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(("mini-2", "w", 0), (score.ModelVersion, score.History.Single().AuthorId, score.History.Single().Codes.Count));
    }

    [Fact]
    public async Task Remembered_candidates_are_of_one_model()
    {
        await _bench.RunAsync(_bench.Query("somebody-else"));
        _bench.Services.ModelVersion = "mini-2";
        _bench.Services.Catalogue.RemoveAt(0);
        await _bench.RunAsync(_bench.Query("somebody-else"));
        _bench.Services.Down[AppIds.Retrieval] = true;

        FeedSlate slate = await _bench.RunAsync(_bench.Query());

        Assert.Equal(["b"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal("mini-2", _bench.Services.Scores.Last().ModelVersion);
    }

    /// <summary>Runs a request whose retrieval answers only once the preparation has come to its end.</summary>
    private async Task<FeedSlate> RunPreparedAsync()
    {
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _bench.Services.Held[AppIds.Retrieval] = released.Task;
        Task<FeedSlate> running = _bench.RunAsync(_bench.Query(arm: "transformer"));
        await _recorded.HasAsync("mesh.gateway.stage.duration", "stage", Stage);
        Assert.False(running.IsCompleted);
        released.SetResult();
        return await running;
    }

    /// <summary>Lets the wait of the scorers pass, whenever it begins.</summary>
    private async Task LateAsync()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (Without() == 0)
        {
            _bench.Clock.Advance(TimeSpan.FromMilliseconds(10));
            await Task.Delay(2, timeout.Token);
        }
    }

    private void AssertWhole(FeedSlate slate, string outcome)
    {
        ScoreRequest score = Assert.Single(_bench.Services.Scores);
        Assert.Equal(("", 4), (score.ContextId, score.Sequence.ItemIds.Count));
        Assert.Equal(["old", "twice", "new"], score.History.Select(item => item.ItemId).Distinct());
        Assert.Equal((2, false, 0), (slate.Selected.Count, slate.Query.UsedPrepared, slate.Degraded.Count));
        Assert.Equal(1, Outcome(outcome));
    }

    private double Outcome(string outcome) => _recorded.Sum("mesh.gateway.context.scored", "outcome", outcome);

    private double Without() => _recorded.Sum("mesh.gateway.stage.served_without", "stage", Stage);
}
