using Mesh.Contracts;
using Mesh.Gateway;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Shards;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;
using Mesh.Retrieval.Sources;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

/// <summary>The gateway's merge over indexes of retrieval: what several shards answer together is what one index answers.</summary>
public sealed class ShardMergeTests
{
    private static readonly ItemRow[] Rows = MakeRows(600);

    private static readonly Sequence Viewed = Make.Sequence(
        [.. Enumerable.Range(0, 40).Select(i => ($"item-{i * 13}", i % 5 == 0 ? "not_interested" : "like", Make.Now - (40 - i) * Make.Hour))]);

    public static TheoryData<int, string, uint> Cases => new()
    {
        { 2, "two-tower", 50 }, { 3, "two-tower", 1 }, { 7, "two-tower", 600 }, { 2, "trending", 50 }, { 5, "trending", 599 },
        { 2, "in-network", 60 }, { 3, "in-network", 500 },
    };

    [Theory, MemberData(nameof(Cases))]
    public async Task Several_shards_together_answer_as_one_index(int shards, string source, uint limit)
    {
        RetrieveRequest request = Make.Request(Viewed, (source, limit));
        request.Follows.AddRange(["author-1", "author-2", "author-3"]);

        RetrieveResponse whole = await new Shards(1).Retrieval.RetrieveAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);
        RetrieveResponse merged = await new Shards(shards).Retrieval.RetrieveAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);

        Assert.NotEmpty(whole.Candidates);
        Assert.Equal(
            whole.Candidates.Select(candidate => (candidate.ItemId, candidate.SourceScores[0], candidate.Similarity)).Order(),
            merged.Candidates.Select(candidate => (candidate.ItemId, candidate.SourceScores[0], candidate.Similarity)).Order());
        if (source is "two-tower" or "trending") Assert.Equal(whole.Candidates.Select(candidate => candidate.ItemId), merged.Candidates.Select(candidate => candidate.ItemId));
        Assert.Equal(whole.History, merged.History);
        SourceReport report = Assert.Single(merged.Sources);
        Assert.Equal((source, (uint)whole.Candidates.Count, ""), (report.Name, report.Count, report.Error));
    }

    [Fact]
    public async Task The_beams_of_several_shards_come_close_to_that_of_one_index()
    {
        ItemRow[] rows = MakeRows(6_000);
        RetrieveResponse whole = await Ask(1, 120), merged = await Ask(3, 120);

        int both = whole.Candidates.Select(candidate => candidate.ItemId).Intersect(merged.Candidates.Select(candidate => candidate.ItemId)).Count();
        Assert.Equal((120, 120), (whole.Candidates.Count, merged.Candidates.Count));
        Assert.InRange(both, 102, 120);
        Assert.Equal(
            (await Ask(1, 2_000)).Candidates.Count, // all that no dislike bars
            (await Ask(3, 2_000)).Candidates.Count);

        async Task<RetrieveResponse> Ask(int shards, uint limit) =>
            await new Shards(shards, rows: rows).Retrieval.RetrieveAsync(Make.Request(Viewed, ("semantic-id", limit)), TimeSpan.FromSeconds(20), CancellationToken.None);
    }

    [Fact]
    public async Task All_sources_at_once_name_each_item_once_with_the_sources_that_one_index_names()
    {
        RetrieveRequest request = Make.Request(Viewed, ("in-network", 40), ("two-tower", 80), ("trending", 80));
        request.Follows.AddRange(["author-1", "author-2"]);

        RetrieveResponse whole = await new Shards(1).Retrieval.RetrieveAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);
        RetrieveResponse merged = await new Shards(4).Retrieval.RetrieveAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);

        Assert.Contains(whole.Candidates, candidate => candidate.Sources.Count > 1);
        Assert.Equal(
            whole.Candidates.Select(candidate => $"{candidate.ItemId}: {string.Join(',', candidate.Sources)}"),
            merged.Candidates.Select(candidate => $"{candidate.ItemId}: {string.Join(',', candidate.Sources)}"));
    }

    [Fact]
    public async Task One_author_gives_no_more_over_all_shards_than_one_index_lets_it()
    {
        RetrieveRequest request = Make.Request(null, ("in-network", 500));
        request.Follows.Add("author-1");

        RetrieveResponse merged = await new Shards(3, perAuthorMax: 7).Retrieval.RetrieveAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);

        Assert.Equal(7, merged.Candidates.Count);
        Assert.Equal(
            Rows.Where(row => row.Item.AuthorId == "author-1").OrderByDescending(row => row.Item.CreatedAtMs).Take(7).Select(row => row.Item.ItemId),
            merged.Candidates.Select(candidate => candidate.ItemId));
    }

    [Fact]
    public async Task Items_like_an_item_are_found_in_the_shards_that_do_not_hold_it()
    {
        foreach (string itemId in (string[])["item-3", "item-4", "item-5", "item-6"])
        {
            var request = new SimilarRequest { ItemId = itemId, Limit = 25 };

            SimilarResponse whole = (await new Shards(1).Retrieval.FindSimilarAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None))!;
            SimilarResponse merged = (await new Shards(3).Retrieval.FindSimilarAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None))!;

            Assert.Equal(whole.Candidates.Select(candidate => (candidate.ItemId, candidate.Similarity)), merged.Candidates.Select(candidate => (candidate.ItemId, candidate.Similarity)));
        }

        Assert.Null(await new Shards(3).Retrieval.FindSimilarAsync(new SimilarRequest { ItemId = "nobody", Limit = 5 }, TimeSpan.FromSeconds(20), CancellationToken.None));
    }

    [Fact]
    public async Task History_comes_in_the_order_asked_for_from_whichever_shard_knows_it()
    {
        var request = new HistoryRequest { ItemIds = { "item-9", "unknown", "item-2", "item-9", "item-7" } };

        HistoryResponse merged = await new Shards(3).Retrieval.FindHistoryAsync(request, TimeSpan.FromSeconds(20), CancellationToken.None);

        Assert.Equal(["item-9", "item-2", "item-7"], merged.History.Select(item => item.ItemId));
    }

    [Fact]
    public async Task A_history_of_another_model_than_the_index_is_not_used()
    {
        var shards = new Shards(2);
        RetrieveRequest request = Make.Request(Make.Sequence(("elsewhere", "like", Make.Now)), ("two-tower", 5));
        request.History.Add(new HistoryItem { ItemId = "elsewhere", Codes = { 1, 1 }, Embedding = Make.Bytes([1, 0, 0, 0]) });

        request.HistoryModelVersion = "another";
        RetrieveResponse without = await shards.RetrieveAsync("shard-0", request, TimeSpan.Zero, CancellationToken.None);
        request.HistoryModelVersion = "";
        RetrieveResponse with = await shards.RetrieveAsync("shard-0", request, TimeSpan.Zero, CancellationToken.None);

        Assert.Empty(without.Candidates);
        Assert.Equal(5, with.Candidates.Count);
        Assert.Empty(with.History); // this shard holds none of it
    }

    private static ItemRow[] MakeRows(int count)
    {
        var random = new Random(11);
        return
        [
            .. Enumerable.Range(0, count).Select(i => Make.Row(
                $"item-{i}", $"author-{i % 17}", Make.RandomVector(random), [(uint)random.Next(3), (uint)random.Next(4), (uint)random.Next(9)],
                createdAtMs: Make.Now - (Make.Hour * (1 + random.Next(400))) - i, likes: random.Next(30))),
        ];
    }

    /// <summary>The rows spread over indexes as index-updater spreads them, behind the gateway's own fan-out.</summary>
    private sealed class Shards : IRetrievalApps
    {
        private readonly Dictionary<string, (LiveIndex Index, Retriever Retriever)> _apps = new(StringComparer.Ordinal);

        public Shards(int count, int perAuthorMax = 50, ItemRow[]? rows = null)
        {
            FakeTimeProvider clock = Make.Clock();
            for (int shard = 0; shard < count; shard++)
            {
                RetrievalOptions options = new() { Shard = shard, InNetworkPerAuthorMax = perAuthorMax };
                LiveIndex index = Make.Index(options, [.. (rows ?? Rows).Where(row => ItemHash.Compute(row.Item.ItemId) % (uint)count == shard)]);
                var wrapped = Microsoft.Extensions.Options.Options.Create(options);
                var queries = new QueryMaker(Make.Metrics, clock, wrapped, NullLogger<QueryMaker>.Instance);
                var follower = new FollowerState(clock);
                follower.NoteShards((uint)count);
                Sources.ISource[] sources = [Make.InNetwork(perAuthorMax, 0), Make.TwoTower(), Make.SemanticId(4_096), new TrendingSource()];
                _apps[$"shard-{shard}"] = (index, new Retriever(sources, queries, follower, Make.Metrics, clock, wrapped, NullLogger<Retriever>.Instance));
            }

            var gateway = new GatewayOptions { Retrieval = [.. _apps.Keys] };
            var metrics = new GatewayMetrics(new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>());
            Retrieval = new ShardedRetrieval(this, new StageHealth(NullLogger<StageHealth>.Instance), metrics, clock, Microsoft.Extensions.Options.Options.Create(gateway));
        }

        public ShardedRetrieval Retrieval { get; }

        public Task<RetrieveResponse> RetrieveAsync(string appId, RetrieveRequest request, TimeSpan budget, CancellationToken cancellation) =>
            _apps[appId].Retriever.RetrieveAsync(_apps[appId].Index, RetrieveRequest.Parser.ParseFrom(Google.Protobuf.MessageExtensions.ToByteArray(request)), FilterPlan.All, cancellation);

        public Task<HistoryResponse> FindHistoryAsync(string appId, HistoryRequest request, TimeSpan budget, CancellationToken cancellation) =>
            Task.FromResult(Retriever.History(_apps[appId].Index, request));

        public Task<SimilarResponse?> FindSimilarAsync(string appId, SimilarRequest request, TimeSpan budget, CancellationToken cancellation) =>
            Task.FromResult(Retriever.Similar(_apps[appId].Index, request, cancellation));
    }
}
