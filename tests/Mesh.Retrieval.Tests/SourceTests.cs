using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

public sealed class SourceTests
{
    private static readonly InterestShape Shape = InterestShape.From(new RetrievalOptions());

    [Fact]
    public void In_network_merges_followed_authors_newest_first_with_a_cap_per_author()
    {
        LiveIndex index = Make.Index(
        [
            .. Enumerable.Range(0, 60).Select(i => Make.Row($"ann-{i}", "ann", createdAtMs: 1_000 + i)),
            Make.Row("bob-0", "bob", createdAtMs: 1_030), Make.Row("stranger-0", "stranger", createdAtMs: 9_999),
        ]);

        List<string> found = Find(Make.InNetwork(50, 0), index, limit: 100, follows: ["ann", "bob", "nobody"]);

        Assert.Equal(51, found.Count);
        Assert.Equal("ann-59", found[0]);
        Assert.Equal("ann-31", found[28]);
        Assert.Equal(["ann-30", "bob-0"], found.Skip(29).Take(2));
        Assert.Equal("ann-10", found[^1]);
        Assert.Equal(3, Find(Make.InNetwork(50, 0), index, limit: 3, follows: ["ann", "bob"]).Count);
        Assert.Empty(Find(Make.InNetwork(50, 0), index, limit: 3));
    }

    [Fact]
    public void In_network_leaves_out_what_is_older_than_its_retention()
    {
        LiveIndex index = Make.Index(Make.Row("fresh", "ann", createdAtMs: Make.Now - Make.Hour), Make.Row("stale", "ann", createdAtMs: Make.Now - 30 * Make.Hour));

        Assert.Equal(["fresh"], Find(Make.InNetwork(50, 24), index, follows: ["ann"]));
        Assert.Equal(["fresh", "stale"], Find(Make.InNetwork(50, 0), index, follows: ["ann"]));
    }

    [Fact]
    public void In_network_looks_at_the_newest_entries_only_and_at_so_many_of_an_author()
    {
        LiveIndex index = Make.Index(
        [
            .. Enumerable.Range(0, 40).Select(i => Make.Row($"loud-{i:00}", "loud", createdAtMs: 5_000 + i, tags: i < 2 ? ["ok"] : [])),
            .. Enumerable.Range(0, 40).Select(i => Make.Row($"calm-{i:00}", "calm", createdAtMs: 1_000 + i, tags: ["ok"])),
        ]);
        InNetworkShape wide = new(ScanMax: 1_000, PerAuthorScanMax: 1_000, PerAuthorMax: 50, RetentionHours: 0);
        List<string> Found(InNetworkShape shape) => Find(new InNetworkSource(shape), index, limit: 100, follows: ["loud", "calm"], filter: "tag:ok");

        Assert.Equal(42, Found(wide).Count);
        Assert.Equal(["calm-39", "calm-38"], Found(wide with { PerAuthorScanMax = 10, ScanMax = 12 }));
        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"calm-{39 - i}"), Found(wide with { PerAuthorScanMax = 10 }));
        Assert.Empty(Found(wide with { ScanMax = 38 }));
    }

    [Fact]
    public void The_cap_per_author_counts_admitted_items_only()
    {
        LiveIndex index = Make.Index([.. Enumerable.Range(0, 10).Select(i => Make.Row($"ann-{i}", "ann", createdAtMs: i))]);

        Assert.Equal(["ann-4", "ann-3"], Find(Make.InNetwork(2, 0), index, follows: ["ann"], exclude: [.. Enumerable.Range(5, 5).Select(i => $"ann-{i}")]));
    }

    [Fact]
    public void Two_tower_follows_the_history_and_negative_actions_push_away()
    {
        LiveIndex index = Make.Index(
            Make.Row("liked", vector: [1, 0, 0, 0]), Make.Row("reported", vector: [0, 1, 0, 0]),
            Make.Row("near-liked", vector: [1, 0.2f, 0, 0]), Make.Row("near-reported", vector: [0.2f, 1, 0, 0]), Make.Row("neutral", vector: [0, 0, 1, 0]));

        List<string> found = Find(
            Make.TwoTower(), index, sequence: Make.Sequence(("liked", "like", Make.Now), ("reported", "report", Make.Now)), exclude: ["liked", "reported"]);

        Assert.Equal(["near-liked", "neutral", "near-reported"], found);
    }

    [Fact]
    public void Two_tower_is_empty_without_a_positive_history()
    {
        LiveIndex index = Make.Index(Make.Row("a"));

        Assert.Empty(Find(Make.TwoTower(), index));
        Assert.Empty(Find(Make.TwoTower(), index, sequence: Make.Sequence(("unknown", "like", Make.Now))));
        Assert.Empty(Find(Make.TwoTower(), index, sequence: Make.Sequence(("a", "report", Make.Now))));
        Assert.Empty(Find(Make.TwoTower(), index, sequence: Make.Sequence(("a", "impression", Make.Now))));
        Assert.Single(Find(Make.TwoTower(), index, sequence: Make.Sequence(("a", "click", Make.Now))));
    }

    [Fact]
    public void Recent_actions_outweigh_old_ones_however_long_ago_the_last_visit_was()
    {
        LiveIndex index = Make.Index(Make.Row("old", vector: [1, 0, 0, 0]), Make.Row("new", vector: [0, 1, 0, 0]));
        long visit = Make.Now - 40_000 * Make.Hour;

        UserInterest interest = UserInterest.From(index, Make.Sequence(("old", "like", visit - 336 * Make.Hour), ("new", "like", visit)), Shape);

        Assert.Equal(0.25f, interest.Means[0][0] / interest.Means[0][1], 1e-4);
    }

    [Fact]
    public void With_codes_each_favoured_topic_has_its_own_query_and_the_nearest_counts()
    {
        LiveIndex index = Make.Index(
            Make.Row("a", vector: [1, 0, 0, 0], codes: [1, 0, 0]), Make.Row("b", vector: [0, 1, 0, 0], codes: [2, 0, 0]),
            Make.Row("c", vector: [0, 0, 1, 0], codes: [3, 0, 0]), Make.Row("between", vector: [1, 1, 0, 0], codes: [4, 0, 0]));
        Sequence sequence = Make.Sequence(("a", "like", Make.Now), ("b", "like", Make.Now), ("b", "save", Make.Now), ("c", "click", Make.Now));

        UserInterest all = UserInterest.From(index, sequence, Shape);
        UserInterest two = UserInterest.From(index, sequence, Shape with { QueryVectorsMax = 2 });

        Assert.Equal(3, all.Means.Count);
        Assert.Equal(2, two.Means.Count);
        Assert.Equal([0, 1, 0, 0], two.Means[0].ToArray());
        Assert.Equal(1, two.Means.Similarity([1, 0, 0, 0]), 1e-6);
        Assert.Equal(0.7071f, two.Means.Similarity(index.VectorOf(index.Find("between")!)), 1e-4);
    }

    [Fact]
    public void Semantic_id_fills_from_the_favoured_prefixes_by_probability_and_last_from_what_the_user_has_not_met()
    {
        LiveIndex index = Make.Index(
        [
            Make.Row("liked", codes: [1, 1, 0]), Make.Row("clicked", codes: [2, 2, 0]),
            .. Enumerable.Range(0, 4).Select(i => Make.Row($"one-one-{i}", codes: [1, 1, 1], likes: i)),
            .. Enumerable.Range(0, 4).Select(i => Make.Row($"two-two-{i}", codes: [2, 2, 1], likes: i)),
            Make.Row("one-nine", codes: [1, 9, 9]), Make.Row("elsewhere", codes: [7, 7, 7]), Make.Row("without"),
        ]);
        Sequence sequence = Make.Sequence(("clicked", "click", Make.Now), ("liked", "repost", Make.Now));
        string[] exclude = ["liked", "clicked"];

        List<string> three = Find(Make.SemanticId(100), index, limit: 3, sequence: sequence, exclude: exclude);
        List<string> all = Find(Make.SemanticId(100), index, limit: 50, sequence: sequence, exclude: exclude);

        Assert.Equal(["one-one-2", "one-one-3", "two-two-3"], three.Order());
        Assert.Equal(["one-one-3", "one-one-2", "one-one-1", "one-one-0"], all.Where(id => id.StartsWith("one-one", StringComparison.Ordinal)));
        Assert.Equal(["two-two-3", "two-two-2", "two-two-1", "two-two-0"], all.Where(id => id.StartsWith("two-two", StringComparison.Ordinal)));
        Assert.Equal(["elsewhere", "one-nine"], all.Skip(8).Order());
        Assert.Empty(Find(Make.SemanticId(100), index, limit: 5));
    }

    [Fact]
    public void A_history_of_years_never_fails_the_source_and_fills_the_limit()
    {
        // A year at a half-life of a week is 2e-16: weights as far apart as a double's rounding. A plain division gave 39 % of such
        // users (200,000 drawn) a share below zero.
        const int Topics = 8;
        LiveIndex index = Make.Index([.. Enumerable.Range(0, Topics).Select(topic => Make.Row($"item-{topic}", codes: [(uint)topic, 1, 1]))]);
        var random = new Random(7);
        string[] actions = ["like", "reply", "click", "save", "dwell", "quote"];
        for (int user = 0; user < 2_000; user++)
        {
            (string, string, long)[] events =
            [
                .. Enumerable.Range(0, Topics).Select(topic => ($"item-{topic}", actions[random.Next(actions.Length)], Make.Now - (random.Next(3) * 365 * 24 * Make.Hour) - random.Next(100)))
                    .OrderBy(logged => logged.Item3),
            ];

            Assert.Equal(Topics, Find(Make.SemanticId(100), index, limit: 300, sequence: Make.Sequence(events)).Count);
        }
    }

    [Fact]
    public void A_prefix_disliked_more_than_liked_is_not_followed()
    {
        LiveIndex index = Make.Index(Make.Row("a", codes: [1, 1, 0]), Make.Row("b", codes: [1, 1, 1]));

        Assert.Empty(Find(Make.SemanticId(100), index, sequence: Make.Sequence(("a", "click", Make.Now), ("a", "not_interested", Make.Now))));
    }

    [Fact]
    public void Trending_ranks_by_decayed_engagement_and_freshness_and_sinks_the_reported()
    {
        LiveIndex index = Make.Index(
            Make.Row("loved", likes: 50), Make.Row("liked", likes: 5), Make.Row("old-loved", likes: 50, createdAtMs: Make.Now - 5_000 * Make.Hour),
            Make.Row("untouched"), Make.Row("reported", likes: 5, reports: 40));

        Assert.Equal(["loved", "liked", "old-loved", "untouched", "reported"], Find(new TrendingSource(), index));
    }

    [Fact]
    public void A_cold_start_is_never_blank_and_shows_the_newest()
    {
        LiveIndex index = Make.Index([.. Enumerable.Range(0, 30).Select(i => Make.Row($"item-{i:00}", createdAtMs: Make.Now - i * Make.Hour))]);

        Assert.Equal(Enumerable.Range(0, 5).Select(i => $"item-{i:00}"), Find(new TrendingSource(), index, limit: 5));
        Assert.Equal(30, Find(new TrendingSource(), index, limit: 100).Count);
    }

    [Fact]
    public void Trending_looks_past_its_pool_where_a_filter_admits_little()
    {
        var options = new RetrievalOptions { TrendingPoolMax = 5 };
        LiveIndex index = Make.Index(options);
        for (int i = 0; i < 50; i++) index.Apply(Make.Upsert((ulong)i + 1, Make.Row($"item-{i}", likes: i, tags: i < 3 ? ["rare"] : [])), out _);

        Assert.Equal(["item-2", "item-1", "item-0"], Find(new TrendingSource(), index, filter: "tag:rare"));
    }

    [Theory]
    [InlineData(IndexShapes.Flat, "")]
    [InlineData(IndexShapes.Flat, "tag:rare")]
    [InlineData(IndexShapes.Exact, "")]
    [InlineData(IndexShapes.Exact, "tag:rare")]
    [InlineData(IndexShapes.Exact, "NOT tag:rare")]
    public void Trending_past_its_pool_is_what_a_sort_of_all_rows_gives(string shape, string filter)
    {
        var random = new Random(3);
        LiveIndex index = Make.Index(
            new RetrievalOptions { Index = IndexShapes.Options(shape).Index, TrendingPoolMax = 5 },
            [.. Enumerable.Range(0, 2_000).Select(i => Make.Row($"item-{i:0000}", createdAtMs: Make.Now - i, likes: random.Next(20), tags: i % 40 == 3 ? ["rare"] : []))]);
        RowFilter admits = Catalogue.Filter(filter);
        string[] expected =
        [
            .. index.Vectors.Live().Where(live => admits.Admits(live.State))
                .OrderByDescending(live => index.Trending.ScoreOf(live.State, Make.Now, index.HalfLifeMs)).Take(30).Select(live => live.State.Facts.ItemId),
        ];

        Assert.Equal(expected, Find(new TrendingSource(), index, filter: filter, limit: 30));
    }

    [Fact]
    public void Trending_is_computed_again_after_its_interval_and_never_shows_a_deleted_item()
    {
        FakeTimeProvider clock = Make.Clock();
        LiveIndex index = Make.Index(Make.Options, clock);
        index.Apply(Make.Upsert(1, Make.Row("a", likes: 1)), out _);
        index.Apply(Make.Upsert(2, Make.Row("b", likes: 2)), out _);
        Assert.Equal(["b", "a"], Find(new TrendingSource(), index));

        index.Apply(Make.Delete(3, "b"), out _);
        index.Apply(Make.Engage(4, "a", likes: 3), out _);
        Assert.Equal(["a"], Find(new TrendingSource(), index));

        index.Apply(Make.Upsert(5, Make.Row("c", likes: 9)), out _);
        Assert.Equal(["c", "a"], Find(new TrendingSource(), index, serverNowMs: Make.Now + 1_001));
    }

    [Fact]
    public void Every_source_fills_its_limit_from_what_is_admitted()
    {
        var visible = Enumerable.Range(0, 20).Select(i => Make.Row($"ok-{i:00}", "ann", codes: [1, 1, 1], tags: ["ok"]));
        LiveIndex index = Make.Index(
        [
            Make.Row("seed", "ann", codes: [1, 1, 1], tags: ["ok"]),
            .. Enumerable.Range(0, 20).Select(i => Make.Row($"hidden-{i}", "ann", codes: [1, 1, 1], tags: ["ok"], likes: 9, eligibility: new Eligibility { Hidden = true })),
            .. Enumerable.Range(0, 20).Select(i => Make.Row($"french-{i}", "ann", codes: [1, 1, 1], tags: ["ok"], likes: 9, eligibility: new Eligibility { Languages = { "fr" } })),
            .. Enumerable.Range(0, 20).Select(i => Make.Row($"untagged-{i}", "ann", codes: [1, 1, 1], likes: 9)),
            .. visible,
        ]);
        Sequence sequence = Make.Sequence(("seed", "like", Make.Now));

        foreach (ISource source in new ISource[] { Make.InNetwork(50, 0), Make.TwoTower(), Make.SemanticId(1_000), new TrendingSource() })
        {
            List<string> found = Find(source, index, limit: 15, sequence: sequence, follows: ["ann"], exclude: ["seed", "ok-00", "ok-01"], language: "en", filter: "tag:ok");

            Assert.Equal(15, found.Count);
            Assert.All(found, id => Assert.StartsWith("ok-", id, StringComparison.Ordinal));
            Assert.DoesNotContain("ok-00", found);
        }
    }

    private static List<string> Find(
        ISource source, LiveIndex index, int limit = 10, Sequence? sequence = null, string[]? follows = null, string[]? exclude = null,
        string language = "", string filter = "", long serverNowMs = Make.Now)
    {
        Assert.True(FilterParser.TryParse(filter, out FilterPlan plan, out string fault), fault);
        var rowFilter = new RowFilter(new ItemHashSet([.. (exclude ?? []).Select(ItemHash.Compute)]), new Audience(language, ""), plan);
        UserInterest interest = UserInterest.From(index, sequence, Shape);
        var query = new SourceQuery(index, interest, interest.Means, follows ?? [], rowFilter, Make.Now, serverNowMs);
        return [.. source.Find(query, limit, CancellationToken.None).Select(hit => hit.State.Facts.ItemId)];
    }
}
