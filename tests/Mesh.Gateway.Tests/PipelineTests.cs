using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>What the pipeline promises whatever its stages do: nothing lost, nothing late, nothing unnamed.</summary>
public sealed class PipelineTests
{
    private const string Minimal = """
        sources: [ { name: retrieval, timeout_ms: 700 } ]
        selector: [ { name: top, timeout_ms: 50 } ]
        """;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Every_candidate_id_is_in_exactly_one_of_selected_removed_and_reserve(int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < 40; round++)
        {
            using var bench = new Bench(Bench.ShippedYaml());
            FillAtRandom(bench.Services, random);
            FeedCursor? cursor = random.Next(2) == 0
                ? null
                : new FeedCursor(Ulid.NewUlid().ToString(), 2, [.. Enumerable.Range(0, 10).Select(i => ItemHash.Compute($"item-{i}"))]);
            bench.Services.OnRetrieve = _ =>
                new RetrieveResponse { Candidates = { bench.Services.Catalogue }, IndexVersion = "v" }; // exclusions ignored: the filters must do it

            FeedSlate slate = await bench.RunAsync(bench.Query(limit: random.Next(1, 40), cursor: cursor));

            IEnumerable<string> accounted = slate.Selected.Concat(slate.Reserve).Select(candidate => candidate.ItemId).Concat(slate.Removed.Select(removal => removal.Candidate.ItemId));
            Assert.Equal(bench.Services.Catalogue.Select(candidate => candidate.ItemId).Distinct().Order(), accounted.Order());
            Assert.Equal(bench.Services.Catalogue.Count, slate.Selected.Count + slate.Reserve.Count + slate.RemovedCounts.Values.Sum());
        }
    }

    [Fact]
    public async Task Conservation_holds_when_a_refill_finds_removed_items_again()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "blocked"), FakeServices.Item("b", "blocked")]);
        bench.Services.OnRetrieve = request => request.Sources.Count > 1
            ? new RetrieveResponse { Candidates = { bench.Services.Catalogue } }
            : new RetrieveResponse { Candidates = { bench.Services.Catalogue.Append(FakeServices.Item("c", "other")) } };
        bench.Services.Users["u"] = new UserContext { Profile = new SocialProfile { Blocks = { "blocked" } } };

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(["c"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(["a", "b"], slate.Removed.Select(removal => removal.Candidate.ItemId).Order());
        Assert.Equal(2, slate.RemovedCounts["blocked-authors"]);
    }

    [Theory]
    [InlineData(AppIds.SequenceStore, "user-context", 400)]
    [InlineData(AppIds.Retrieval, "retrieval", 700)]
    [InlineData(AppIds.Ranker, "ranker", 600)]
    public async Task A_stage_that_never_answers_is_left_behind_when_its_time_is_over(string service, string stage, int timeoutMs)
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "y")]);
        await bench.RunAsync(bench.Query("somebody-else")); // trending is remembered from here
        using var next = new Hanging(bench, service);

        Task<FeedSlate> running = bench.RunAsync(bench.Query());
        await next.EnteredAsync();
        Assert.False(running.IsCompleted);
        bench.Clock.Advance(TimeSpan.FromMilliseconds(timeoutMs));
        FeedSlate slate = await running;

        Assert.Equal(["a", "b"], slate.Selected.Select(candidate => candidate.ItemId).Order());
        Assert.Equal(new Degradation(stage, $"no answer within {timeoutMs} ms"), Assert.Single(slate.Degraded));
        Assert.True(slate.TimingsMs[stage] >= timeoutMs);
    }

    [Fact]
    public async Task What_is_left_of_the_budget_travels_to_each_hop()
    {
        using var bench = new Bench(Bench.ShippedYaml(), budgetMs: 900);
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        using var hanging = new Hanging(bench, AppIds.SequenceStore);

        Task<FeedSlate> running = bench.RunAsync(bench.Query());
        await hanging.EnteredAsync();
        bench.Clock.Advance(TimeSpan.FromMilliseconds(400));
        await running;

        var budgets = bench.Services.Budgets.ToDictionary(entry => entry.What, entry => entry.Budget.TotalMilliseconds);
        Assert.Equal(400, budgets[AppIds.SequenceStore]);
        Assert.Equal(500, budgets[AppIds.Retrieval]); // 900 - 400, less than its own 700
        Assert.Equal(500, budgets[AppIds.Ranker]);
    }

    [Fact]
    public async Task A_spent_budget_skips_the_hops_but_never_the_filters()
    {
        using var bench = new Bench(Bench.ShippedYaml(), budgetMs: 600);
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "blocked")]);
        await bench.RunAsync(bench.Query("somebody-else"));
        bench.Services.Users["u"] = new UserContext { Profile = new SocialProfile { Blocks = { "blocked" } } };
        using var hanging = new Hanging(bench, AppIds.Retrieval);

        Task<FeedSlate> running = bench.RunAsync(bench.Query());
        await hanging.EnteredAsync();
        bench.Clock.Advance(TimeSpan.FromMilliseconds(600));
        FeedSlate slate = await running;

        Assert.Equal(["a"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(["retrieval", "ranker"], slate.Degraded.Select(entry => entry.Stage));
        Assert.Contains("budget was spent", slate.Degraded[1].Reason);
    }

    [Fact]
    public async Task A_client_that_leaves_cancels_the_request_and_is_no_failure_of_a_stage()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        using var hanging = new Hanging(bench, AppIds.Retrieval);
        using var left = new CancellationTokenSource();

        Task<FeedSlate> running = bench.Pipeline.RunAsync(bench.Query(), left.Token);
        await hanging.EnteredAsync();
        await left.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task A_late_answer_changes_nothing()
    {
        using var bench = new Bench("""
            query_hydrators: [ { name: user-context, timeout_ms: 400 } ]
            sources: [ { name: retrieval, timeout_ms: 700 } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        var answer = new TaskCompletionSource<RetrieveResponse>();
        bench.Services.OnRetrieve = _ => answer.Task.GetAwaiter().GetResult();
        FeedQuery query = bench.Query();

        Task<FeedSlate> running = Task.Run(() => bench.RunAsync(query));
        await bench.Services.EnteredAsync(AppIds.Retrieval);
        bench.Clock.Advance(TimeSpan.FromMilliseconds(700));
        FeedSlate slate = await running;
        answer.SetResult(new RetrieveResponse { IndexVersion = "late", Candidates = { FakeServices.Item("a", "x") } });

        Assert.Empty(slate.Selected);
        Assert.Null(query.IndexVersion);
    }

    [Fact]
    public async Task A_stage_marked_fail_request_fails_the_request()
    {
        using var bench = new Bench("""
            sources: [ { name: retrieval, timeout_ms: 700, on_failure: fail_request } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        bench.Services.Down[AppIds.Retrieval] = true;

        StageFailedException failure = await Assert.ThrowsAsync<StageFailedException>(() => bench.RunAsync(bench.Query()));

        Assert.Equal("retrieval", failure.Degradation.Stage);
    }

    [Fact]
    public async Task A_source_that_failed_inside_retrieval_is_named_and_the_others_are_served()
    {
        using var bench = new Bench(Minimal);
        bench.Services.OnRetrieve = _ => new RetrieveResponse
        {
            Candidates = { FakeServices.Item("a", "x") }, Sources = { new SourceReport { Name = "two-tower", Error = "no query vector" }, new SourceReport { Name = "trending", Count = 1 } },
        };

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(new Degradation("retrieval/two-tower", "no query vector"), Assert.Single(slate.Degraded));
        Assert.Single(slate.Selected);
    }

    [Fact]
    public async Task Duplicates_are_merged_into_the_first_with_all_their_sources()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.OnRetrieve = _ =>
            new RetrieveResponse { Candidates = { FakeServices.Item("a", "x", "in-network"), FakeServices.Item("a", "x", "trending", "in-network") } };

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(["in-network", "trending"], Assert.Single(slate.Selected).Sources);
        Assert.Equal(1, slate.RemovedCounts["duplicate"]);
        Assert.Empty(slate.Removed);
    }

    [Fact]
    public async Task Scores_that_do_not_fit_the_question_are_not_used()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "y")]);
        bench.Services.OnScore = request => new ScoreResponse { Scores = { FakeServices.Score(request).Scores.Reverse() } };

        FeedSlate reversed = await bench.RunAsync(bench.Query());
        bench.Services.OnScore = request => new ScoreResponse { Scores = { FakeServices.Score(request).Scores.Take(1) } };
        FeedSlate tooFew = await bench.RunAsync(bench.Query());
        bench.Services.OnScore = request =>
            new ScoreResponse { Scores = { request.Candidates.Select(candidate => new CandidateScore { ItemId = candidate.ItemId, Score = float.NaN }) } };
        FeedSlate noNumbers = await bench.RunAsync(bench.Query());

        Assert.Contains("is of item b, not of a", Assert.Single(reversed.Degraded).Reason);
        Assert.Contains("1 scores for 2 candidates", Assert.Single(tooFew.Degraded).Reason);
        Assert.Contains("NaN", Assert.Single(noNumbers.Degraded).Reason);
        Assert.All([reversed, tooFew, noNumbers], slate => Assert.Equal(2, slate.Selected.Count));
    }

    [Fact]
    public async Task Without_a_ranker_followed_authors_come_first_and_old_items_last()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        long now = bench.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        Candidate old = FakeServices.Item("old", "x"), fresh = FakeServices.Item("fresh", "y"), followed = FakeServices.Item("followed", "z");
        (old.CreatedAtMs, fresh.CreatedAtMs, followed.CreatedAtMs) = (now - 3_000_000_000, now, now);
        bench.Services.Catalogue.AddRange([old, fresh, followed]);
        bench.Services.Users["u"] = new UserContext { Profile = new SocialProfile { Follows = { "z" } } };
        bench.Services.Down[AppIds.Ranker] = true;

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(["followed", "fresh", "old"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Null(slate.Query.ModelVersion);
    }

    [Fact]
    public async Task Texts_are_fetched_for_users_with_muted_words_and_once_a_minute_for_the_memory()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        bench.Services.Users["muter"] = new UserContext { Profile = new SocialProfile { MutedWords = { "cat" } } };

        foreach (string user in (string[])["u", "u", "muter"]) await bench.RunAsync(bench.Query(user));
        bench.Clock.Advance(TimeSpan.FromMinutes(2));
        await bench.RunAsync(bench.Query());

        Assert.Equal([true, false, true, true], bench.Services.Retrieves.Select(request => request.IncludeText));
    }

    [Fact]
    public async Task A_remembered_item_whose_text_is_unknown_is_not_shown_to_a_user_with_muted_words()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.Add(FakeServices.Item("with-text", "x"));
        await bench.RunAsync(bench.Query("first")); // fetches texts: the memory is empty
        bench.Services.Catalogue.Add(FakeServices.Item("without-text", "y"));
        await bench.RunAsync(bench.Query("second"));
        bench.Services.Users["u"] = new UserContext { Profile = new SocialProfile { MutedWords = { "cat" } } };
        bench.Services.Down[AppIds.Retrieval] = true;

        FeedSlate muting = await bench.RunAsync(bench.Query());
        FeedSlate other = await bench.RunAsync(bench.Query("third"));

        Assert.Equal(["with-text"], muting.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(2, other.Selected.Count);
    }

    [Fact]
    public async Task Remembered_items_are_given_up_after_half_an_hour()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        await bench.RunAsync(bench.Query());
        bench.Services.Down[AppIds.Retrieval] = true;

        bench.Clock.Advance(TimeSpan.FromMinutes(29));
        FeedSlate before = await bench.RunAsync(bench.Query());
        bench.Clock.Advance(TimeSpan.FromMinutes(2));
        FeedSlate after = await bench.RunAsync(bench.Query());

        Assert.Single(before.Selected);
        Assert.Empty(after.Selected);
        Assert.Contains(after.Degraded, entry => entry is { Stage: "sources", Reason: "no source found a candidate" });
    }

    [Fact]
    public async Task Stages_in_another_app_filter_and_score()
    {
        using var bench = new Bench("""
            sources: [ { name: retrieval, timeout_ms: 700 } ]
            filters: [ { name: python-filter, timeout_ms: 100, invoke: { app_id: py, method: keep }, params: { strict: 1 } } ]
            scorers: [ { name: python-scorer, timeout_ms: 100, invoke: { app_id: py, method: score } } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "y"), FakeServices.Item("c", "z")]);
        var asked = new List<JsonNode>();
        bench.Services.OnInvokeStage = (_, method, request) =>
        {
            asked.Add(request);
            return JsonNode.Parse(method == "keep" ? """{"kept":["b","c"]}""" : """{"scores":{"b":0.1,"c":0.9}}""");
        };

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(["c", "b"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal("python-filter", Assert.Single(slate.Removed).Filter);
        Assert.Equal("1", asked[0]["params"]!["strict"]!.GetValue<string>());
        Assert.Equal("u", asked[0]["query"]!["userId"]!.GetValue<string>());
        Assert.Equal(["a", "b", "c"], asked[0]["candidates"]!.AsArray().Select(candidate => candidate!["itemId"]!.GetValue<string>()));
        Assert.Equal(["b", "c"], asked[1]["candidates"]!.AsArray().Select(candidate => candidate!["itemId"]!.GetValue<string>()));
    }

    [Theory]
    [InlineData("""{"kept":["a","stranger"]}""", "stranger")]
    [InlineData("""{"kept":["a"],"removed":["a","b"]}""", "both kept and removed")]
    [InlineData("""{"kept":["a"],"removed":[]}""", "1 kept and 0 removed of 2")]
    [InlineData("""{"kept":"a"}""", "not an array")]
    [InlineData("""{"kept":[1]}""", "no string")]
    [InlineData("""{}""", "neither kept nor removed")]
    public async Task An_answer_of_another_app_that_loses_or_invents_candidates_is_a_failure_of_that_stage(string answer, string reason)
    {
        using var bench = new Bench("""
            sources: [ { name: retrieval, timeout_ms: 700 } ]
            filters: [ { name: foreign, timeout_ms: 100, invoke: { app_id: py, method: keep } } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        bench.Services.Catalogue.AddRange([FakeServices.Item("a", "x"), FakeServices.Item("b", "y")]);
        bench.Services.OnInvokeStage = (_, _, _) => JsonNode.Parse(answer);

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(2, slate.Selected.Count);
        Degradation degradation = Assert.Single(slate.Degraded);
        Assert.Equal("foreign", degradation.Stage);
        Assert.Contains(reason, degradation.Reason);
    }

    [Fact]
    public async Task A_source_in_another_app_adds_its_candidates()
    {
        using var bench = new Bench("""
            sources:
              - { name: retrieval, timeout_ms: 700, parallel: true }
              - { name: news, timeout_ms: 100, parallel: true, invoke: { app_id: py, method: news } }
            filters: [ { name: duplicate, timeout_ms: 50 } ]
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        bench.Services.OnInvokeStage = (_, _, _) => JsonNode.Parse("""{"candidates":[{"itemId":"n","authorId":"y","createdAtMs":5,"tags":["t"]},{"itemId":"a","authorId":"x"}]}""");

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(["a", "n"], slate.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(["trending", "news"], slate.Selected[0].Sources);
    }

    [Fact]
    public async Task Parallel_sources_run_at_the_same_time()
    {
        using var bench = new Bench("""
            sources:
              - { name: retrieval, timeout_ms: 700, parallel: true }
              - { name: news, timeout_ms: 700, parallel: true, invoke: { app_id: py, method: news } }
            selector: [ { name: top, timeout_ms: 50 } ]
            """);
        bench.Services.Hanging[AppIds.Retrieval] = true;
        bench.Services.Hanging["py"] = true;

        Task<FeedSlate> running = bench.RunAsync(bench.Query());
        await Task.WhenAll(bench.Services.EnteredAsync(AppIds.Retrieval), bench.Services.EnteredAsync("py"));
        bench.Clock.Advance(TimeSpan.FromMilliseconds(700));
        FeedSlate slate = await running;

        Assert.Equal(["news", "retrieval"], slate.Degraded.Select(entry => entry.Stage).Where(stage => stage != "sources").Order());
    }

    [Fact]
    public async Task An_exception_that_no_dependency_explains_does_not_leak_its_text()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Catalogue.Add(FakeServices.Item("a", "x"));
        bench.Services.OnScore = _ => throw new InvalidOperationException("secret of the house");

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.DoesNotContain("secret", Assert.Single(slate.Degraded).Reason);
        Assert.Single(slate.Selected);
    }

    [Fact]
    public async Task What_the_user_did_reaches_retrieval_and_the_ranker()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Users["u"] = new UserContext
        {
            Version = 9, Engaged = { 77 }, Served = { 88 }, Profile = new SocialProfile { Follows = { "z" } },
            Sequence = new Sequence { ItemIds = { "liked", "shown" }, Actions = Google.Protobuf.ByteString.CopyFrom(0, (byte)ActionTaxonomy.Default.ImpressionIndex) },
        };
        bench.Services.OnRetrieve = _ => new RetrieveResponse
        {
            Candidates = { FakeServices.Item("a", "x") }, History = { new HistoryItem { ItemId = "liked", AuthorId = "w" } }, CounterHalfLifeHours = 12,
        };

        await bench.RunAsync(bench.Query());

        RetrieveRequest retrieve = Assert.Single(bench.Services.Retrieves);
        Assert.Equal([77u, ItemHash.Compute("liked")], retrieve.Exclude.Order());
        Assert.Equal(["z"], retrieve.Follows);
        Assert.Equal(["in-network", "two-tower", "semantic-id", "trending"], retrieve.Sources.Select(source => source.Name));
        ScoreRequest score = Assert.Single(bench.Services.Scores);
        Assert.Equal((9L, 12d, "heuristic"), (score.SequenceVersion, score.CounterHalfLifeHours, score.Arm));
        Assert.Equal("liked", Assert.Single(score.History).ItemId);
    }

    [Fact]
    public async Task No_more_is_excluded_than_retrieval_takes_and_the_filters_still_remove_the_rest()
    {
        using var bench = new Bench(Bench.ShippedYaml());
        bench.Services.Users["u"] = new UserContext { Engaged = { ItemHash.Compute("oldest"), Enumerable.Range(0, 25_000).Select(i => (uint)i) } };
        bench.Services.OnRetrieve = _ =>
            new RetrieveResponse { Candidates = { FakeServices.Item("oldest", "x"), FakeServices.Item("new", "y") } };

        FeedSlate slate = await bench.RunAsync(bench.Query());

        Assert.Equal(20_000, Assert.Single(bench.Services.Retrieves).Exclude.Count);
        Assert.Equal(["new"], slate.Selected.Select(candidate => candidate.ItemId));
    }

    private static void FillAtRandom(FakeServices services, Random random)
    {
        services.Catalogue.Clear();
        for (int i = 0, count = random.Next(1, 120); i < count; i++)
        {
            Candidate item = FakeServices.Item(
                $"item-{random.Next(80)}", random.Next(25) is var author && author == 0 ? "" : $"author-{author}", random.Next(2) == 0 ? "trending" : "two-tower");
            item.Text = random.Next(4) == 0 ? "a cat sat" : "a category";
            item.Eligibility.Hidden = random.Next(10) == 0;
            services.Catalogue.Add(item);
        }

        services.Users["u"] = new UserContext
        {
            Profile = new SocialProfile { Follows = { "author-1" }, Mutes = { "author-2" }, Blocks = { "author-3" }, MutedWords = { "cat" } },
            Engaged = { ItemHash.Compute("item-4") }, Served = { ItemHash.Compute("item-5") },
            Sequence = new Sequence
            {
                ItemIds = { "item-6", "item-7" },
                Actions = Google.Protobuf.ByteString.CopyFrom(0, (byte)ActionTaxonomy.Default.IndexOf("not_interested")),
            },
        };
    }

    /// <summary>Makes a service hang, and knows when the next call to it has begun.</summary>
    private sealed class Hanging : IDisposable
    {
        private readonly Bench _bench;
        private readonly string _service;
        private readonly int _before;

        public Hanging(Bench bench, string service)
        {
            _bench = bench;
            _service = service;
            _before = Calls();
            bench.Services.Hanging[service] = true;
        }

        public async Task EnteredAsync()
        {
            using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            while (Calls() == _before) await Task.Delay(2, timeout.Token);
        }

        public void Dispose() => _bench.Services.Hanging.Clear();

        private int Calls() => _bench.Services.Budgets.Count(entry => entry.What == _service);
    }
}
