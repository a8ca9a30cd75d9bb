using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using System.Runtime.InteropServices;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Numerics;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Mesh.Testing;
using Xunit.Abstractions;

namespace Mesh.Retrieval.Tests;

/// <summary>Models/mini, and a package of the same shapes with other weights, go live in turn.</summary>
public sealed class ModelSwapTests : IDisposable
{
    private static readonly Sequence Liked = Make.Sequence([.. Enumerable.Range(0, 12).Select(i => ($"item-{i * 7}", "like", Make.Now - 1_000 + i))]);

    private readonly ITestOutputHelper _output;
    private readonly TempFolder _root = new();
    private readonly InferenceRuntime _runtime = ModelVariant.NewRuntime();
    private readonly LivePackage _a;
    private readonly LivePackage _b;
    private readonly Dictionary<string, Dictionary<string, ItemRow>> _truth = [];

    public ModelSwapTests(ITestOutputHelper output)
    {
        _output = output;
        ModelVariant.CopyMini(_root.Path, "a");
        ModelVariant.Write(_root.Path, "b", seed: 1);
        _a = new LivePackage(Path.Combine(_root.Path, "a"), _runtime);
        _b = new LivePackage(Path.Combine(_root.Path, "b"), _runtime);
        foreach (LivePackage package in new[] { _a, _b }) _truth[package.Version] = package.Rows([.. Enumerable.Range(0, 600).Select(Item)]).ToDictionary(row => row.Item.ItemId);
    }

    public void Dispose()
    {
        _a.Dispose();
        _b.Dispose();
        _runtime.Dispose();
        _root.Dispose();
    }

    [Fact]
    public async Task Under_load_every_answer_is_of_one_model_while_models_go_live_back_and_forth()
    {
        const int swaps = 12;
        FakeLog log = await NewLogAsync();
        await using var app = new RetrievalApp(log, ("Retrieval:ProbeIntervalMs", "20"), ("Retrieval:TowerTimeoutMs", "10000"), ("Retrieval:RetrieveTimeoutMs", "60000"), ("Retrieval:ConcurrentRequestsMax", "64"));
        HttpClient client = await app.ReadyClientAsync();
        var answers = new ConcurrentBag<(RetrieveResponse Retrieved, HistoryResponse History)>();
        using var stop = new CancellationTokenSource();
        using var fallbacks = new Fallbacks();
        Task[] load = [.. Enumerable.Range(0, 6).Select(_ => Task.Run(() => AskUntilAsync(client, answers, stop.Token)))];

        LivePackage live = _a;
        for (int swap = 0; swap < swaps; swap++)
        {
            LivePackage next = live == _a ? _b : _a;
            int first = 300 + (25 * swap); // what each round brings: before the snapshot, between it and its notice, and after
            log.Append(Upserts(log, live, first, 8));
            await PublishAsync(log, next, first + 8, between: Upserts(log, live, first + 8, 8));
            log.Append(Upserts(log, next, first + 8, 8)); // sent again
            log.Append(Upserts(log, next, first + 16, 9));
            await Eventually.True(() => app.Index.ModelVersion == next.Version && app.Index.Sequence == log.Head, $"{next.Version} is live");
            int seen = answers.Count;
            await Eventually.True(() => answers.Count > seen + 12, "requests are answered by it");
            live = next;
        }

        await stop.CancelAsync();
        await Task.WhenAll(load);
        foreach ((RetrieveResponse retrieved, HistoryResponse history) in answers) AssertOfOneModel(retrieved, history);
        int[] perVersion = [.. answers.GroupBy(answer => answer.Retrieved.ModelVersion).Select(version => version.Count())];
        _output.WriteLine($"{answers.Count} answers across {swaps} swaps: {string.Join(" and ", perVersion)} of each version; {fallbacks.Count} fell back from the tower");
        Assert.Equal(2, perVersion.Length);
        Assert.Equal(0, fallbacks.Count);
        Assert.Equal(600, app.Index.Items);
    }

    [Fact]
    public async Task A_row_of_another_model_never_enters_an_index_whichever_comes_first()
    {
        FakeLog log = await NewLogAsync();
        await using var rig = await new FollowerRig(log).StartReadyAsync();

        log.Append(Upserts(log, _b, 0, 5));
        log.Append(Upserts(log, _b, 400, 5));
        await rig.CaughtUpAsync();

        Assert.Equal(300, rig.Current.Items);
        Assert.Equal(_a.Version, rig.Current.ModelVersion);
        Assert.Equal(Codes(_a, "item-0"), rig.Current.Find("item-0")!.Facts.Codes);
        Assert.True(Vector(_a, "item-0").AsSpan().SequenceEqual(rig.Current.VectorOf(rig.Current.Find("item-0")!)));
    }

    [Fact]
    public async Task An_index_that_let_rows_of_another_model_pass_is_loaded_again_when_its_own_model_is_back()
    {
        FakeLog log = await NewLogAsync();
        await using var rig = await new FollowerRig(log).StartReadyAsync();
        LiveIndex before = rig.Current;
        log.Append(Upserts(log, _b, 400, 5)); // b was live for so short a time that its snapshot was never loaded
        await rig.CaughtUpAsync();

        await PublishAsync(log, _a, 405);

        await Eventually.True(() => rig.Current.Origin.Version == "version-2", "the snapshot of the model in use is loaded");
        Assert.NotSame(before, rig.Current);
        Assert.Equal(Codes(_a, "item-400"), rig.Current.Find("item-400")!.Facts.Codes);
    }

    [Fact]
    public async Task Before_the_first_snapshot_an_index_is_of_the_model_of_its_first_row()
    {
        var log = new FakeLog { Dimensions = _a.Dimensions };
        log.Append(Upserts(log, _a, 0, 5));
        log.Append(Upserts(log, _b, 5, 5));
        await using var rig = await new FollowerRig(log).StartReadyAsync();

        Assert.Equal((_a.Version, 5), (rig.Current.ModelVersion, rig.Current.Items));
        Assert.Equal(_a.Version, rig.State.Describe(rig.Current, rig.Options).ModelVersion);
    }

    [Fact]
    public async Task A_tower_that_is_not_of_the_snapshots_model_is_not_used_and_the_index_in_use_stays()
    {
        FakeLog log = await NewLogAsync();
        await using var rig = await new FollowerRig(log).StartReadyAsync();

        await PublishAsync(log, _b, 300, tower: _a);

        await Eventually.True(() => rig.Lines.Count(3005) >= 2, "two tries are logged");
        Assert.Equal(_a.Version, rig.Current.ModelVersion);
        Assert.Contains($"The user tower is of {_a.Version}", rig.Lines.Text, StringComparison.Ordinal);
        await PublishAsync(log, _b, 300);
        await Eventually.True(() => rig.Current.ModelVersion == _b.Version, "a good snapshot of that model is swapped in");
    }

    [Fact]
    public async Task A_replica_that_starts_on_a_damaged_snapshot_takes_the_one_before_and_its_model()
    {
        FakeLog log = await NewLogAsync();
        await PublishAsync(log, _b, 300);
        log.Append(Upserts(log, _b, 300, 4));
        log.Damage();

        await using var rig = await new FollowerRig(log).StartReadyAsync();

        Assert.Equal(("version-1", _a.Version, log.Head), (rig.Current.Origin.Version, rig.Current.ModelVersion, rig.Current.Sequence));
        Assert.Equal(1, rig.Lines.Count(3012));
        await PublishAsync(log, _b, 304);
        await Eventually.True(() => rig.Current.ModelVersion == _b.Version, "the next snapshot is swapped in");
        Assert.Equal(304, rig.Current.Items);
    }

    [Fact]
    public async Task A_request_keeps_the_tower_of_its_index_open_until_it_is_done_and_no_longer()
    {
        FakeLog log = await NewLogAsync();
        await using var rig = await new FollowerRig(log).StartReadyAsync();
        IndexLease lease = rig.Holder.Lease()!;
        UserTower tower = lease.Index.Tower!;
        await PublishAsync(log, _b, 300);
        await Eventually.True(() => rig.Current.ModelVersion == _b.Version, "the next model is live");

        float[] vectors = await tower.EncodeAsync(Liked, new Dictionary<string, HistoryItem>(), CancellationToken.None);
        lease.Dispose();

        Assert.Equal(tower.Vectors * tower.Dimensions, vectors.Length);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => tower.EncodeAsync(Liked, new Dictionary<string, HistoryItem>(), CancellationToken.None));
        using IndexLease next = rig.Holder.Lease()!;
        Assert.Equal(_b.Version, next.Index.ModelVersion);
    }

    [Fact]
    public async Task Where_the_tower_is_late_the_queries_are_means_of_the_history_and_it_is_counted()
    {
        FakeLog log = await NewLogAsync();
        await using var app = new RetrievalApp(log, ("Retrieval:TowerTimeoutMs", "1"), ("Inference:ConcurrentRuns", "1"));
        HttpClient client = await app.ReadyClientAsync();
        using var fallbacks = new Fallbacks();
        using IndexLease lease = app.Holder.Lease()!;

        // The one place for runs is taken by runs back to back until a request was late.
        using var stop = new CancellationTokenSource();
        Task[] busy = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested) await lease.Index.Tower!.EncodeAsync(Liked, new Dictionary<string, HistoryItem>(), CancellationToken.None);
        }))];
        RetrieveResponse response = new();
        while (fallbacks.Count == 0) response = await AskAsync(client);
        await stop.CancelAsync();
        await Task.WhenAll(busy);

        Assert.Equal("late", Assert.Single(fallbacks.Reasons.Distinct()));
        Assert.All(response.Sources, report => Assert.Equal("", report.Error));
        Assert.NotEmpty(response.Candidates);
    }

    [Fact]
    public async Task A_user_without_known_history_is_not_sent_through_the_tower()
    {
        FakeLog log = await NewLogAsync();
        await using var app = new RetrievalApp(log);
        HttpClient client = await app.ReadyClientAsync();

        RetrieveResponse response = await (await client.PostAsync("/retrieve", Make.Request(null, ("two-tower", 10), ("trending", 10)))).ReadAsync<RetrieveResponse>();

        Assert.Equal([0u, 10u], response.Sources.Select(report => report.Count));
        Assert.All(response.Candidates, candidate => Assert.Equal(0, candidate.Similarity));
    }

    private static async Task AskUntilAsync(HttpClient client, ConcurrentBag<(RetrieveResponse, HistoryResponse)> answers, CancellationToken stop)
    {
        var asked = new HistoryRequest();
        asked.ItemIds.AddRange(Liked.ItemIds);
        while (!stop.IsCancellationRequested)
        {
            HistoryResponse history = await (await client.PostAsync("/history", asked)).ReadAsync<HistoryResponse>();
            answers.Add((await AskAsync(client), history));
        }
    }

    private static async Task<RetrieveResponse> AskAsync(HttpClient client)
    {
        RetrieveRequest request = Make.Request(Liked, ("two-tower", 60), ("semantic-id", 40), ("trending", 30), ("in-network", 20));
        request.Follows.Add("author-3");
        HttpResponseMessage response = await client.PostAsync("/retrieve", request);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.ReadAsync<RetrieveResponse>();
    }

    // Everything that can be recomputed from the package that the answer names.
    private void AssertOfOneModel(RetrieveResponse retrieved, HistoryResponse history)
    {
        LivePackage package = retrieved.ModelVersion == _a.Version ? _a : _b;
        Assert.Equal(package.Version, retrieved.ModelVersion);
        Assert.All(retrieved.Sources, report => Assert.Equal("", report.Error));
        Assert.InRange(retrieved.Candidates.Count, 60, 150);
        QueryVectors queries = QueriesOf(package);
        foreach (Candidate candidate in retrieved.Candidates)
        {
            Assert.Equal(Codes(package, candidate.ItemId), candidate.Codes);
            Assert.Equal(queries.Similarity(Vector(package, candidate.ItemId)), candidate.Similarity, 1e-5);
        }

        Assert.Equal(Liked.ItemIds.Count, retrieved.History.Count);
        foreach (HistoryItem item in retrieved.History)
        {
            Assert.Equal(Codes(package, item.ItemId), item.Codes);
            Assert.Equal(queries.Similarity(Vector(package, item.ItemId)), item.Similarity, 1e-5);
        }

        LivePackage ofHistory = history.ModelVersion == _a.Version ? _a : _b;
        foreach (HistoryItem item in history.History) Assert.Equal(Codes(ofHistory, item.ItemId), item.Codes);
    }

    private readonly Dictionary<string, QueryVectors> _queries = [];

    private QueryVectors QueriesOf(LivePackage package)
    {
        if (_queries.TryGetValue(package.Version, out QueryVectors? known)) return known;
        float[] vectors = package.Queries(Liked, Liked.ItemIds.Select(id => _truth[package.Version][id]));
        return _queries[package.Version] = new QueryVectors(vectors, package.Dimensions);
    }

    private uint[] Codes(LivePackage package, string itemId) => [.. _truth[package.Version][itemId].Codes];

    private float[] Vector(LivePackage package, string itemId) => MemoryMarshal.Cast<byte, float>(_truth[package.Version][itemId].Embedding.Span).ToArray();

    private async Task<FakeLog> NewLogAsync()
    {
        var log = new FakeLog { Dimensions = _a.Dimensions };
        log.Append(Upserts(log, _a, 0, 300));
        await PublishAsync(log, _a, 300);
        return log;
    }

    // A snapshot of the first items as rows of the model; what the log takes in before its notice is not in it.
    private async Task PublishAsync(FakeLog log, LivePackage package, int items, List<IndexDelta>? between = null, LivePackage? tower = null)
    {
        (log.ModelVersion, log.Tower) = (package.Version, (tower ?? package).Tower);
        await log.SnapshotAsync(_truth[package.Version].Values.Take(items).Select(row => Versioned(row, log.Head)), between ?? []);
    }

    private List<IndexDelta> Upserts(FakeLog log, LivePackage package, int first, int count) =>
        [.. Enumerable.Range(0, count).Select(i => Make.Upsert(log.Head + (ulong)i + 1, _truth[package.Version][$"item-{first + i}"]))];

    private static ItemRow Versioned(ItemRow row, ulong version)
    {
        ItemRow versioned = row.Clone();
        versioned.Version = version;
        return versioned;
    }

    private static Item Item(int i) => new()
    {
        ItemId = $"item-{i}", AuthorId = $"author-{i % 13}", Text = $"words number {i} about topic{i % 7}", Tags = { $"tag{i % 5}" }, CreatedAtMs = Make.Now - (i * 1_000L),
    };

    /// <summary>Requests that went on without the tower.</summary>
    private sealed class Fallbacks : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly ConcurrentQueue<string> _reasons = new();

        public Fallbacks()
        {
            _listener.InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Name == "mesh.retrieval.tower.fallbacks") self.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>((_, _, tags, _) => _reasons.Enqueue($"{tags[0].Value}"));
            _listener.Start();
        }

        public int Count => _reasons.Count;

        public IEnumerable<string> Reasons => _reasons;

        public void Dispose() => _listener.Dispose();
    }
}
