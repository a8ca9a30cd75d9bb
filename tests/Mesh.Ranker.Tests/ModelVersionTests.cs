using System.Collections.Concurrent;
using Mesh.Contracts;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;
using Mesh.Testing;
using Microsoft.Extensions.Time.Testing;
using static Mesh.Ranker.Tests.TransformerProtocolTests;

namespace Mesh.Ranker.Tests;

/// <summary>Versions come, serve and go.</summary>
public sealed class ModelVersionTests : IDisposable
{
    private const int ModelRefused = 4005, VersionMissing = 4007;

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.FromUnixTimeMilliseconds(ScoreRequests.NowMs));
    private readonly FakeModel _first = new("m-1"), _second = new("m-2"), _third = new("m-3");
    private readonly FakeModelStore _store;
    private readonly RankerApp _app;

    public ModelVersionTests()
    {
        _store = FakeModelStore.With(_first);
        _store.Add("second", _second);
        _store.Add("third", _third);
        _app = new RankerApp(store: _store, clock: _clock);
    }

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task A_change_makes_a_warm_version_live_and_going_back_is_the_same_message()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, 10);
        Assert.Equal("m-1", (await _app.ScoreAsync(request)).ModelVersion);

        Assert.Equal("SUCCESS", await _app.DeliverAsync(Change("m-2", "second", timeMs: 10)));
        int warmed = _second.Runs;
        Assert.Equal("m-2", (await _app.ScoreAsync(request)).ModelVersion);
        RankerStatus status = await _app.StatusAsync();
        Assert.Equal("SUCCESS", await _app.DeliverAsync(Change("m-1", "", timeMs: 20)));
        Assert.Equal("SUCCESS", await _app.DeliverAsync(Change("m-2", "second", timeMs: 15))); // late: the later change wins

        Assert.True(warmed > 0);
        Assert.Equal("m-2", status.ModelVersion);
        Assert.Equal(["m-2", "m-1"], status.ModelVersions);
        Assert.Equal("m-1", (await _app.ScoreAsync(request)).ModelVersion);
        Assert.Equal(2, _store.Loads);
    }

    [Fact]
    public async Task A_package_that_is_refused_fails_its_trial_or_is_another_version_leaves_the_live_one()
    {
        using var meters = new Meters(FactoryOf(_app));
        _store.AddBroken("broken", "m-4", "item.onnx has the sha256 0; manifest.json says 1.");
        _second.Output = _ => float.NaN;

        Assert.Equal("DROP", await _app.DeliverAsync(Change("m-4", "broken", 10)));
        Assert.Equal("DROP", await _app.DeliverAsync(Change("m-2", "second", 11)));
        Assert.Equal("DROP", await _app.DeliverAsync(Change("m-9", "third", 12)));
        foreach (string path in new[] { "../third", "/third", "a/../../third", "C:\\third", "a/third" }) Assert.Equal("DROP", await _app.DeliverAsync(Change("m-9", path, 13)));
        Assert.Equal("RETRY", await _app.DeliverAsync(Change("m-5", "not-there-yet", 14)));

        RankerStatus status = await _app.StatusAsync();
        Assert.Equal(["m-1"], status.ModelVersions);
        Assert.Equal(("transformer", "m-1"), await ScoredByAsync(""));
        Assert.True(_second.IsDisposed && _third.IsDisposed && !_first.IsDisposed);
        Assert.Equal(4, meters["mesh.ranker.model.changes outcome=refused"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_trial_says_whether_a_score_depends_on_its_batch(bool depends)
    {
        var model = new FakeModel("m");
        int runs = 0;
        if (depends) model.Output = _ => runs == 2 ? 0.5000001f : 0.5f;
        model.Running = _ => runs++;

        Assert.Equal(!depends, ModelTrial.Run(model, new TransformerOptions()));
        Assert.Equal([64, 512], model.RowsOfRuns.Distinct());
    }

    [Fact]
    public async Task Of_two_changes_of_one_millisecond_the_same_one_wins_whichever_comes_first()
    {
        ModelChange[] changes = [Change("m-2", "second", timeMs: 10), Change("m-3", "third", timeMs: 10)];
        ModelChange winner = changes.MaxBy(ModelChangeRules.OrderOf)!, loser = changes.MinBy(ModelChangeRules.OrderOf)!;

        Assert.Equal("SUCCESS", await _app.DeliverAsync(winner));
        Assert.Equal("SUCCESS", await _app.DeliverAsync(loser));

        Assert.Equal(winner.Version, (await _app.StatusAsync()).ModelVersion);
    }

    [Fact]
    public async Task A_change_that_can_never_be_applied_is_dropped_and_one_whose_version_is_nowhere_comes_again()
    {
        long nowMs = ScoreRequests.NowMs;
        Assert.Equal("DROP", await _app.DeliverAsync(Change("m-2", "second", nowMs + (25 * 3_600_000))));
        Assert.Equal("DROP", await _app.DeliverAsync(Change("m-2", "second", 0)));
        Assert.Equal("DROP", await _app.DeliverAsync(Change("a\0b", "", 10)));
        Assert.Equal("DROP", await _app.DeliverAsync(new ModelChange(Change("m-2", "second", 10)) { EventId = "1" }));
        Assert.Equal("RETRY", await _app.DeliverAsync(Change("m-9", "", 10)));

        Assert.Equal("m-1", (await _app.StatusAsync()).ModelVersion);
    }

    [Fact]
    public async Task A_change_that_comes_twice_loads_once()
    {
        string[] answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => _app.DeliverAsync(Change("m-2", "second", timeMs: 10))));

        Assert.All(answers, answer => Assert.Equal("SUCCESS", answer));
        Assert.Equal(2, _store.Loads);
        Assert.Equal("m-2", (await _app.StatusAsync()).ModelVersion);
    }

    [Fact]
    public async Task A_version_that_a_request_names_is_looked_for_once_and_serves_from_then_on()
    {
        using var found = new ManualResetEventSlim();
        _ = _app.Services;
        _second.Encoding = () => Assert.True(found.Wait(TimeSpan.FromSeconds(30)));

        ScoreResponse[] meanwhile = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => _app.ScoreAsync(Named("m-2"))));
        found.Set();
        await Eventually.TrueAsync(async () => (await ScoredByAsync("m-2")).Arm == "transformer", "the version that was named scores");

        Assert.All(meanwhile, response => Assert.Equal("heuristic", response.Arm));
        Assert.All(meanwhile, response => Assert.StartsWith("loading: ", response.FallbackReason, StringComparison.Ordinal));
        Assert.Equal((1, 2), (_store.Searches, _store.Loads));
        Assert.Equal(("transformer", "m-2"), await ScoredByAsync("m-2"));
        Assert.Equal(("transformer", "m-1"), await ScoredByAsync("")); // looked up is not live
    }

    [Fact]
    public async Task A_version_that_is_not_there_is_not_searched_for_again_for_a_while()
    {
        await _app.ScoreAsync(Named("m-9"));
        await Eventually.TrueAsync(async () => (await _app.ScoreAsync(Named("m-9"))).FallbackReason.StartsWith("unknown_version: ", StringComparison.Ordinal), "the search ends");
        for (int i = 0; i < 20; i++) Assert.Equal("heuristic", (await _app.ScoreAsync(Named("m-9"))).Arm);
        Assert.Equal(1, _store.Searches);

        _store.Add("late", new FakeModel("m-9"));
        _clock.Advance(TimeSpan.FromSeconds(11));
        await Eventually.TrueAsync(async () => (await ScoredByAsync("m-9")).Arm == "transformer", "the version that came late scores");

        Assert.Equal(2, _store.Searches);
    }

    [Fact]
    public async Task A_version_that_is_refused_is_loaded_again_ever_more_rarely_and_logged_once_until_a_change_names_it()
    {
        _store.AddBroken("broken", "m-4", "item.onnx has the sha256 0; manifest.json says 1.");
        var loads = new List<int>();
        for (int i = 0; i < 7; i++)
        {
            await _app.ScoreAsync(Named("m-4"));
            await Eventually.TrueAsync(async () => (await FallbackAsync("m-4")).EndsWith("was refused", StringComparison.Ordinal), "the search ends");
            loads.Add(_store.Loads - 1); // one is of the default
            _clock.Advance(TimeSpan.FromSeconds(10));
        }

        string[] first = _app.Logs.Of(ModelRefused);
        string answer = await _app.DeliverAsync(Change("m-4", "broken", 10));
        string[] again = _app.Logs.Of(ModelRefused);
        _store.Add("broken", new FakeModel("m-4"));
        await _app.DeliverAsync(Change("m-4", "broken", 20));

        Assert.Equal([1, 2, 2, 3, 3, 3, 3], loads); // after 10 s, 20 s more, 40 s more
        Assert.Contains("sha256", Assert.Single(first), StringComparison.Ordinal);
        Assert.Equal(("DROP", 2), (answer, again.Length));
        Assert.Equal(("transformer", "m-4"), await ScoredByAsync("m-4"));
    }

    [Fact]
    public async Task A_version_that_is_missing_is_looked_for_at_its_interval_and_logged_once()
    {
        for (int searches = 1; searches <= 4; searches++)
        {
            await _app.ScoreAsync(Named("m-9"));
            await Eventually.TrueAsync(async () => (await FallbackAsync("m-9")).EndsWith("is not here", StringComparison.Ordinal), "the search ends");
            Assert.Equal(searches, _store.Searches);
            _clock.Advance(TimeSpan.FromSeconds(10));
        }

        Assert.Single(_app.Logs.Of(VersionMissing));
    }

    [Fact]
    public async Task With_room_for_one_version_the_live_one_stays_alone()
    {
        using var app = new RankerApp(new() { ["Ranker:Transformer:ModelsMax"] = "1" }, _store, _clock);
        ScoreRequest request = ScoreRequests.Request(seed: 1, 5);
        Assert.Equal("m-1", (await app.ScoreAsync(request)).ModelVersion);

        await app.DeliverAsync(Change("m-2", "second", 10));

        Assert.Equal(["m-2"], (await app.StatusAsync()).ModelVersions);
        Assert.True(_first.IsDisposed);
        Assert.Equal("m-2", (await app.ScoreAsync(request)).ModelVersion);
    }

    [Fact]
    public async Task The_version_least_used_leaves_never_the_live_one()
    {
        await _app.DeliverAsync(Change("m-2", "second", 10));
        Assert.Equal("m-1", (await _app.ScoreAsync(Named("m-1"))).ModelVersion);
        await _app.DeliverAsync(Change("m-3", "third", 20));

        RankerStatus status = await _app.StatusAsync();

        // Live when the third came was the second, though the first was used after it.
        Assert.Equal(["m-3", "m-2"], status.ModelVersions);
        Assert.True(_first.IsDisposed);
        Assert.False(_second.IsDisposed || _third.IsDisposed);
    }

    [Fact]
    public async Task Under_load_every_answer_is_of_one_version_whole_and_none_is_lost()
    {
        string[] users = [.. Enumerable.Range(0, 8).Select(i => $"user-{i}")];
        var expected = new Dictionary<(string, string), ScoreResponse>();
        foreach ((string version, FakeModel model) in new[] { ("m-1", new FakeModel("m-1")), ("m-2", new FakeModel("m-2")) })
        {
            using var reference = new RankerApp(store: FakeModelStore.With(model), clock: _clock);
            foreach (string user in users) expected[(user, version)] = await reference.ScoreAsync(OfUser(user, ""));
        }

        using var stop = new CancellationTokenSource();
        var answers = new ConcurrentBag<(string User, ScoreResponse Response)>();
        Task[] load = [.. users.Select(user => LoadAsync(user))];
        for (int i = 1; i <= 6; i++)
        {
            (string version, string path) = i % 2 == 0 ? ("m-1", "mini") : ("m-2", "second");
            int before = answers.Count;
            Assert.Equal("SUCCESS", await _app.DeliverAsync(Change(version, path, timeMs: i)));
            await Eventually.TrueAsync(() => Task.FromResult(answers.Count > before + 20), "twenty more answers");
        }

        await stop.CancelAsync();
        await Task.WhenAll(load);
        Assert.Equal(["m-1", "m-2"], answers.Select(answer => answer.Response.ModelVersion).Distinct().Order());
        Assert.All(answers, answer => Assert.Equal(expected[(answer.User, answer.Response.ModelVersion)], answer.Response));

        async Task LoadAsync(string user)
        {
            while (!stop.IsCancellationRequested) answers.Add((user, await _app.ScoreAsync(OfUser(user, ""))));
        }
    }

    private static ScoreRequest OfUser(string user, string version) =>
        With(ScoreRequests.Request(seed: user.Length + user[^1], 150), copy => (copy.UserId, copy.ModelVersion) = (user, version));

    private static ScoreRequest Named(string version) => With(ScoreRequests.Request(seed: 1, 10), copy => copy.ModelVersion = version);

    private static ModelChange Change(string version, string path, long timeMs) =>
        new() { EventId = Ulid.NewUlid().ToString(), TimeMs = timeMs, Version = version, Path = path };

    private static System.Diagnostics.Metrics.IMeterFactory FactoryOf(RankerApp app) =>
        (System.Diagnostics.Metrics.IMeterFactory)app.Services.GetService(typeof(System.Diagnostics.Metrics.IMeterFactory))!;

    private async Task<string> FallbackAsync(string version) => (await _app.ScoreAsync(Named(version))).FallbackReason;

    private async Task<(string Arm, string Version)> ScoredByAsync(string version)
    {
        ScoreResponse response = await _app.ScoreAsync(Named(version));
        return (response.Arm, response.ModelVersion);
    }
}
