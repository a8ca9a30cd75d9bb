using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Shards;
using Mesh.Gateway.Tests.Fakes;
using Mesh.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Gateway.Tests;

/// <summary>What becomes of an answer when a shard does not take part, or does not fit.</summary>
public sealed class ShardedRetrievalTests
{
    private static readonly TimeSpan Budget = TimeSpan.FromMilliseconds(400);

    [Fact]
    public async Task A_shard_that_fails_is_named_and_the_others_are_served()
    {
        var bench = new ShardBench(2);
        bench.Down.Add("retrieval-1");

        RetrieveResponse response = await bench.RetrieveAsync();

        Assert.Equal(["a-0", "b-0"], response.Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal(["", "retrieval-1 cannot be reached."], response.Sources.Select(report => report.Error));
        Assert.Equal("retrieval-1", response.Sources[^1].Name);
        Assert.Contains(("retrieval-1", "failed"), bench.LeftOut);
    }

    [Fact]
    public async Task A_shard_that_hangs_costs_its_part_of_the_time_and_not_the_answer()
    {
        var bench = new ShardBench(3);
        bench.Hanging.Add("retrieval-2");

        Task<RetrieveResponse> running = bench.RetrieveAsync();
        bench.Clock.Advance(TimeSpan.FromMilliseconds(380));
        RetrieveResponse response = await running.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.Equal(4, response.Candidates.Count);
        Assert.Equal("retrieval-2 did not answer within 380 ms.", response.Sources[^1].Error);
        Assert.Contains(("retrieval-2", "late"), bench.LeftOut);
    }

    [Fact]
    public async Task A_shard_that_is_late_with_the_history_is_not_asked_again()
    {
        var bench = new ShardBench(2);
        bench.Hanging.Add("retrieval-0");

        Task<RetrieveResponse> running = bench.RetrieveAsync(new Sequence { ItemIds = { "a-1" } });
        bench.Clock.Advance(TimeSpan.FromMilliseconds(100));
        RetrieveResponse response = await running.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.Equal(["a-1", "b-1"], response.Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal("retrieval-0 did not answer within 100 ms.", response.Sources[^1].Error);
        Assert.Equal(["retrieval-1"], bench.Retrieved.Select(call => call.AppId));
        Assert.Equal("a-1", Assert.Single(bench.Retrieved.Single().Request.History).ItemId);
    }

    [Fact]
    public async Task Shards_that_are_all_late_with_the_history_are_asked_without_it()
    {
        var bench = new ShardBench(2) { HistoryHangs = true };

        Task<RetrieveResponse> running = bench.RetrieveAsync(new Sequence { ItemIds = { "a-1" } });
        bench.Clock.Advance(TimeSpan.FromMilliseconds(100));
        RetrieveResponse response = await running.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.Equal(4, response.Candidates.Count);
        Assert.Single(response.Sources);
        Assert.All(bench.Retrieved, call => Assert.Empty(call.Request.History));
    }

    [Fact]
    public async Task No_shard_at_all_is_a_failure_that_says_why()
    {
        var bench = new ShardBench(2);
        bench.Down.UnionWith(["retrieval-0", "retrieval-1"]);

        ServiceUnavailableException failure = await Assert.ThrowsAsync<ServiceUnavailableException>(() => bench.RetrieveAsync());
        ServiceUnavailableException withHistory = await Assert.ThrowsAsync<ServiceUnavailableException>(() => bench.RetrieveAsync(new Sequence { ItemIds = { "a-1" } }));

        Assert.Contains("retrieval-0 cannot be reached.; retrieval-1 cannot be reached.", failure.Message);
        Assert.False(failure.IsLate);
        Assert.Contains("retrieval-1 cannot be reached.", withHistory.Message);
    }

    [Fact]
    public async Task Shards_of_two_models_give_an_answer_of_one_and_the_others_are_named()
    {
        var bench = new ShardBench(3) { VersionOf = app => app == "retrieval-0" ? "old" : "new" };

        RetrieveResponse response = await bench.RetrieveAsync(new Sequence { ItemIds = { "a-0", "a-1" } });

        Assert.Equal("new", response.ModelVersion);
        Assert.Equal(["a-1", "a-2", "b-1", "b-2"], response.Candidates.Select(candidate => candidate.ItemId).Order());
        Assert.Equal(["a-1"], response.History.Select(item => item.ItemId));
        Assert.Contains("its index is of model old, the page of new", response.Sources[^1].Error);
        Assert.Contains(("retrieval-0", "model"), bench.LeftOut);
    }

    [Fact]
    public async Task A_shard_that_is_out_for_many_pages_is_a_line_of_the_log_when_it_begins_and_one_when_it_ends()
    {
        const int StageRecovered = 1007, StageFails = 1008;
        string version = "old";
        var bench = new ShardBench(3) { VersionOf = app => app == "retrieval-0" ? version : "new" };

        for (int page = 0; page < 5; page++) await bench.RetrieveAsync(new Sequence { ItemIds = { "a-0" } });
        string told = Assert.Single(bench.Logs.Of(StageFails));
        Assert.Empty(bench.Logs.Of(StageRecovered));
        version = "new";
        for (int page = 0; page < 2; page++) await bench.RetrieveAsync(new Sequence { ItemIds = { "a-0" } });

        Assert.StartsWith("retrieval/retrieval-0 fails", told, StringComparison.Ordinal);
        Assert.Single(bench.Logs.Of(StageFails));
        Assert.Single(bench.Logs.Of(StageRecovered));
    }

    [Fact]
    public async Task A_shard_without_any_item_fits_whatever_the_others_are_of()
    {
        var bench = new ShardBench(2) { VersionOf = app => app == "retrieval-0" ? "" : "new" };

        RetrieveResponse response = await bench.RetrieveAsync();

        Assert.Equal("new", response.ModelVersion);
        Assert.Single(response.Sources);
    }

    [Theory]
    [InlineData(2, 0u, 2u, "retrieval-1", "follows shard 0 (Retrieval:Shard), and its place in Gateway:Retrieval is 1")]
    [InlineData(2, 1u, 3u, "retrieval-1", "over 3 shards (IndexUpdater:Shards), and Gateway:Retrieval names 2")]
    [InlineData(1, 0u, 2u, "retrieval-0", "over 2 shards (IndexUpdater:Shards), and Gateway:Retrieval names 1")]
    public async Task A_topology_that_does_not_fit_is_named_in_the_answer(int apps, uint shardOfLast, uint shards, string app, string fault)
    {
        var bench = new ShardBench(apps) { ShardsOf = id => shards, ShardOf = id => id == $"retrieval-{apps - 1}" ? shardOfLast : 0 };

        RetrieveResponse response = await bench.RetrieveAsync();

        SourceReport report = response.Sources.Last(report => report.Error.Length > 0);
        Assert.Equal(app, report.Name);
        Assert.Contains(fault, report.Error);
        Assert.Equal(2 * apps, response.Candidates.Count);
    }

    [Fact]
    public async Task An_item_that_two_shards_hold_is_served_once()
    {
        var bench = new ShardBench(2) { ItemsOf = _ => ["a", "b"] };

        Assert.Equal(["a", "b"], (await bench.RetrieveAsync()).Candidates.Select(candidate => candidate.ItemId));
    }

    [Fact]
    public async Task A_caller_who_leaves_is_not_taken_for_a_late_shard()
    {
        var bench = new ShardBench(2);
        bench.Hanging.Add("retrieval-0");
        using var leaving = new CancellationTokenSource();

        Task<RetrieveResponse> running = bench.RetrieveAsync(cancellation: leaving.Token);
        await leaving.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.Empty(bench.LeftOut);
    }

    [Fact]
    public async Task Similar_items_need_the_items_own_shard_and_do_without_another()
    {
        var bench = new ShardBench(2);
        string ofFirst = Enumerable.Range(0, 100).Select(i => $"x{i}").First(id => ItemHash.Compute(id) % 2 == 0);
        bench.Down.Add("retrieval-1");

        SimilarResponse? found = await bench.Retrieval.FindSimilarAsync(new SimilarRequest { ItemId = ofFirst, Limit = 10 }, Budget, CancellationToken.None);

        Assert.Equal(["a-0", "b-0"], found!.Candidates.Select(candidate => candidate.ItemId));
        bench.Down.Clear();
        bench.Down.Add("retrieval-0");
        await Assert.ThrowsAsync<ServiceUnavailableException>(
            () => bench.Retrieval.FindSimilarAsync(new SimilarRequest { ItemId = ofFirst, Limit = 10 }, Budget, CancellationToken.None));
    }

    private sealed class ShardBench : IRetrievalApps
    {
        private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        private readonly MeterListener _listener = new();

        public ShardBench(int apps)
        {
            IMeterFactory meters = _services.GetRequiredService<IMeterFactory>();
            Retrieval = new ShardedRetrieval(
                this, new StageHealth(new LoggerFactory([Logs]).CreateLogger<StageHealth>()), new GatewayMetrics(meters), Clock,
                Options.Create(new GatewayOptions { Retrieval = [.. Enumerable.Range(0, apps).Select(i => $"retrieval-{i}")] }));
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "mesh.gateway.shard.left_out" && instrument.Meter.Scope == meters) listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>((_, _, tags, _) => LeftOut.Enqueue(((string)tags[0].Value!, (string)tags[1].Value!)));
            _listener.Start();
        }

        public FakeTimeProvider Clock { get; } = new(GatewayApp.Now);

        public Logs Logs { get; } = new();

        public ShardedRetrieval Retrieval { get; }

        public HashSet<string> Down { get; } = [];

        public HashSet<string> Hanging { get; } = [];

        public bool HistoryHangs { get; init; }

        public ConcurrentQueue<(string AppId, RetrieveRequest Request)> Retrieved { get; } = new();

        public ConcurrentQueue<(string App, string Reason)> LeftOut { get; } = new();

        public Func<string, string> VersionOf { get; init; } = _ => "mini-1";

        public Func<string, uint> ShardOf { get; init; } = app => Number(app);

        public Func<string, uint> ShardsOf { get; init; } = _ => 0;

        public Func<string, string[]> ItemsOf { get; init; } = app => [$"a-{Number(app)}", $"b-{Number(app)}"];

        public Task<RetrieveResponse> RetrieveAsync(Sequence? sequence = null, CancellationToken cancellation = default) => Retrieval.RetrieveAsync(
            new RetrieveRequest { UserId = "u", Sequence = sequence, Sources = { new SourceRequest { Name = "trending", Limit = 10 } } }, Budget, cancellation);

        public async Task<RetrieveResponse> RetrieveAsync(string appId, RetrieveRequest request, TimeSpan budget, CancellationToken cancellation)
        {
            Retrieved.Enqueue((appId, request));
            await EnterAsync(appId);
            return new RetrieveResponse
            {
                IndexVersion = $"snap-{appId}", ModelVersion = VersionOf(appId), Shard = ShardOf(appId), Shards = ShardsOf(appId), Candidates = { Found(appId, "trending") },
                Sources = { new SourceReport { Name = "trending", Count = 2 } }, History = { Known(appId, request.Sequence?.ItemIds ?? []) },
            };
        }

        public async Task<HistoryResponse> FindHistoryAsync(string appId, HistoryRequest request, TimeSpan budget, CancellationToken cancellation)
        {
            if (HistoryHangs) await new TaskCompletionSource().Task;
            await EnterAsync(appId);
            return new HistoryResponse { ModelVersion = VersionOf(appId), History = { Known(appId, request.ItemIds) } };
        }

        public async Task<SimilarResponse?> FindSimilarAsync(string appId, SimilarRequest request, TimeSpan budget, CancellationToken cancellation)
        {
            await EnterAsync(appId);
            return new SimilarResponse { Candidates = { Found(appId, "similar") }, Embedding = Google.Protobuf.ByteString.CopyFrom(1, 2, 3, 4), ModelVersion = VersionOf(appId) };
        }

        private static uint Number(string appId) => uint.Parse(appId.Split('-')[1], System.Globalization.CultureInfo.InvariantCulture);

        private IEnumerable<HistoryItem> Known(string appId, IEnumerable<string> itemIds) =>
            itemIds.Where(ItemsOf(appId).Contains).Select(id => new HistoryItem { ItemId = id });

        private IEnumerable<Candidate> Found(string appId, string source) => ItemsOf(appId).Select((id, i) => new Candidate
        {
            ItemId = id, AuthorId = "author", Sources = { source }, SourceScores = { 1.0 - (0.1 * i) - (0.01 * Number(appId)) }, SourceParts = { 0 },
        });

        private async Task EnterAsync(string appId)
        {
            if (Hanging.Contains(appId)) await new TaskCompletionSource().Task;
            if (Down.Contains(appId)) throw new ServiceUnavailableException($"{appId} cannot be reached.");
        }
    }
}
