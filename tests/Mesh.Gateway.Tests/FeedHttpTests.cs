using System.Net;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>The feed over HTTP: its shape, explain, cursors, what survives which outage.</summary>
public sealed class FeedHttpTests
{
    [Fact]
    public async Task A_feed_has_exactly_the_documented_fields()
    {
        await using var app = Filled(5);

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/nobody/feed?limit=2");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(
            ["arms", "degraded", "indexVersion", "items", "modelVersion", "nextCursor", "requestId", "timingsMs"],
            body!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
        Assert.True(MeshId.IsUlid(body["requestId"]!.GetValue<string>()));
        Assert.Equal("heuristic-1", body["modelVersion"]!.GetValue<string>());
        Assert.Equal("snap-1", body["indexVersion"]!.GetValue<string>());
        Assert.Equal("transformer", body["arms"]!["ranker"]!.GetValue<string>());
        Assert.Empty(body["degraded"]!.AsArray());
        Assert.Equal(
            ["authorId", "createdAt", "inNetwork", "itemId", "score", "sources"], body["items"]![0]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
        Assert.Equal("2023-11-14T22:13:20.000Z", body["items"]![0]!["createdAt"]!.GetValue<string>());
        Assert.NotNull(body["timingsMs"]!["total"]);
        Assert.NotNull(body["timingsMs"]!["retrieval"]);
    }

    [Fact]
    public async Task Explain_says_why_each_item_has_its_score_and_what_was_removed()
    {
        await using var app = Filled(6);
        app.Services.Users["u"] = new UserContext { UserId = "u", Profile = new SocialProfile { Follows = { "author-1" }, Mutes = { "author-2" } } };

        (_, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed?explain=true&limit=3");

        JsonNode explain = body!["items"]![1]!["explain"]!;
        Assert.Equal(14, explain["probabilities"]!.AsObject().Count);
        Assert.Equal(0.1f, explain["probabilities"]!["like"]!.GetValue<float>());
        Assert.Equal(-2f, explain["weights"]!["block_author"]!.GetValue<float>());
        Assert.Equal(15, explain["counters"]!.AsObject().Count);
        Assert.Equal(0.5f, explain["similarity"]!.GetValue<float>());
        double expected = explain["composite"]!.GetValue<double>() * explain["diversityFactor"]!.GetValue<double>() * explain["networkFactor"]!.GetValue<double>();
        Assert.Equal(expected, body["items"]![1]!["score"]!.GetValue<double>(), 9);
        Assert.Equal(1, body["removed"]!["counts"]!["muted-authors"]!.GetValue<int>());
        Assert.Equal("item-2", body["removed"]!["examples"]![0]!["itemId"]!.GetValue<string>());
        Assert.Equal("muted-authors", body["removed"]!["examples"]![0]!["filter"]!.GetValue<string>());
        Assert.Equal("item-1", body["items"]![0]!["itemId"]!.GetValue<string>());
        Assert.True(body["items"]![0]!["inNetwork"]!.GetValue<bool>());
    }

    [Fact]
    public async Task The_arm_that_really_scored_is_in_the_response_and_the_request_log_and_explain_says_why()
    {
        await using var app = new GatewayApp();
        app.Services.Catalogue.AddRange([FakeServices.Item("a", "followed"), FakeServices.Item("b", "other")]);
        app.Services.Users["u"] = new UserContext { UserId = "u", Profile = new SocialProfile { Follows = { "followed" } } };
        app.Services.OnScore = request =>
        {
            ScoreResponse response = FakeServices.Score(request);
            response.Arm = "heuristic";
            response.FallbackReason = "late: 12 ms were left";
            return response;
        };

        (_, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed?explain=true");
        Assert.True(await app.Services.RequestLogged.WaitAsync(TimeSpan.FromSeconds(20)));

        Assert.Equal("heuristic", body!["arms"]!["ranker"]!.GetValue<string>());
        JsonNode ranking = body["ranking"]!;
        Assert.Equal(
            ("transformer", "heuristic", "late: 12 ms were left", "heuristic-1", false),
            (ranking["askedArm"]!.GetValue<string>(), ranking["arm"]!.GetValue<string>(), ranking["fallbackReason"]!.GetValue<string>(),
                ranking["modelVersion"]!.GetValue<string>(), ranking["prepared"]!.GetValue<bool>()));
        Assert.Equal(0.8f, ranking["weights"]!["like"]!.GetValue<float>());
        RequestLogEntry entry = Assert.Single(app.Services.RequestLog);
        Assert.Equal("heuristic", entry.Arms["ranker"]);
        Assert.Equal([("a", true), ("b", false)], entry.Candidates.Select(candidate => (candidate.ItemId, candidate.InNetwork)).Order());
    }

    [Fact]
    public async Task Pages_of_one_session_never_repeat_an_item_even_before_impressions_land()
    {
        await using var app = Filled(25);
        var seen = new List<string>();
        string? cursor = null;

        for (int page = 0; page < 10; page++)
        {
            (_, JsonNode? body, _) = await app.GetAsync($"/v1/users/u/feed?limit=10&cursor={cursor}");
            seen.AddRange(body!["items"]!.AsArray().Select(item => item!["itemId"]!.GetValue<string>()));
            cursor = body["nextCursor"]?.GetValue<string>();
            if (cursor is null) break;
        }

        Assert.Null(cursor);
        Assert.Equal(25, seen.Count);
        Assert.Equal(25, seen.Distinct().Count());
    }

    [Fact]
    public async Task A_cursor_of_another_user_or_a_damaged_one_is_refused()
    {
        await using var app = Filled(25);
        (_, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed?limit=3");
        string cursor = body!["nextCursor"]!.GetValue<string>();

        (HttpStatusCode other, JsonNode? otherBody, _) = await app.GetAsync($"/v1/users/v/feed?cursor={cursor}");
        (HttpStatusCode damaged, JsonNode? damagedBody, _) = await app.GetAsync(
            $"/v1/users/u/feed?cursor={cursor[..^3]}AAA&limit=0&explain=maybe");

        Assert.Equal(HttpStatusCode.BadRequest, other);
        Assert.Contains("another user", otherBody!["errors"]!["cursor"]![0]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.BadRequest, damaged);
        Assert.Equal(
            ["cursor", "explain", "limit"], damagedBody!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Excluded_ids_are_not_served_and_too_many_are_refused()
    {
        await using var app = Filled(5);

        (_, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed?excludeIds=item-0,item-3");
        (HttpStatusCode status, JsonNode? problem, _) = await app.GetAsync(
            $"/v1/users/u/feed?excludeIds={string.Join(',', Enumerable.Range(0, 1001).Select(i => $"i{i}"))}");

        Assert.Equal(["item-1", "item-2", "item-4"], body!["items"]!.AsArray().Select(item => item!["itemId"]!.GetValue<string>()));
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("1000", problem!["errors"]!["excludeIds"]![0]!.GetValue<string>());
    }

    [Fact]
    public async Task Impressions_and_the_request_log_follow_the_response()
    {
        await using var app = Filled(8);
        app.Services.Users["u"] = new UserContext { UserId = "u", Version = 17 };

        (_, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed?limit=3&surface=home");
        string requestId = body!["requestId"]!.GetValue<string>();
        Assert.True(await app.Services.RequestLogged.WaitAsync(TimeSpan.FromSeconds(20)));

        Impressions impressions = Assert.Single(app.Topics.On<Impressions>(Topics.Impressions));
        Assert.Equal(
            (requestId, requestId, "u", "home"), (impressions.EventId, impressions.RequestId, impressions.UserId, impressions.Surface));
        Assert.Equal(body["items"]!.AsArray().Select(item => item!["itemId"]!.GetValue<string>()), impressions.ItemIds);
        RequestLogEntry entry = Assert.Single(app.Services.RequestLog);
        Assert.Equal(
            (requestId, 17L, "heuristic-1", "snap-1"), (entry.RequestId, entry.SequenceVersion, entry.ModelVersion, entry.IndexVersion));
        Assert.Equal("transformer", entry.Arms["ranker"]);
        Assert.Equal(8, entry.Candidates.Count);
        Assert.All(entry.Candidates, candidate => Assert.Equal(candidate.Served ? 15 : 0, candidate.Counters?.Counts.Count ?? 0));
        Assert.Equal([true, true, true, false], entry.Candidates.Take(4).Select(candidate => candidate.Served));
        Assert.All(entry.Candidates, candidate => Assert.Equal(candidate.Served ? 14 : 0, candidate.Probabilities.Count));
    }

    [Fact]
    public async Task The_response_does_not_wait_for_side_effects()
    {
        await using var app = Filled(3);
        app.Services.Hanging["request-log"] = true;

        (HttpStatusCode status, _, _) = await app.GetAsync("/v1/users/u/feed").WaitAsync(TimeSpan.FromSeconds(20));
        await app.Services.EnteredAsync("request-log");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Empty(app.Services.RequestLog);
        app.Clock.Advance(TimeSpan.FromMinutes(1)); // lets the hanging call go, so that the host stops at once
    }

    [Theory]
    [InlineData(AppIds.SequenceStore, "user-context")]
    [InlineData(AppIds.Ranker, "ranker")]
    public async Task A_service_that_is_down_is_named_and_the_page_is_served_without_it(string service, string stage)
    {
        await using var app = Filled(5);
        app.Services.Down[service] = true;

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(5, body!["items"]!.AsArray().Count);
        JsonNode degraded = Assert.Single(body["degraded"]!.AsArray())!;
        Assert.Equal(stage, degraded["stage"]!.GetValue<string>());
        Assert.Contains("cannot be reached", degraded["reason"]!.GetValue<string>());
    }

    [Fact]
    public async Task With_retrieval_down_the_last_trending_is_served_filtered_for_this_user()
    {
        await using var app = Filled(6);
        await app.GetAsync("/v1/users/first/feed");
        app.Services.Down[AppIds.Retrieval] = true;
        app.Services.Users["u"] = new UserContext { UserId = "u", Profile = new SocialProfile { Blocks = { "author-0" } }, Engaged = { ItemHash.Compute("item-1") } };

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(
            ["item-2", "item-3", "item-4", "item-5"], body!["items"]!.AsArray().Select(item => item!["itemId"]!.GetValue<string>()));
        Assert.Equal(["remembered-trending"], body["items"]![0]!["sources"]!.AsArray().Select(source => source!.GetValue<string>()));
        Assert.Contains(body["degraded"]!.AsArray(), entry => entry!["stage"]!.GetValue<string>() == "retrieval");
        Assert.Equal("snap-1", body["indexVersion"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_page_that_everything_was_removed_from_says_so()
    {
        await using var app = Filled(3);
        app.Services.Users["u"] = new UserContext { UserId = "u", Profile = new SocialProfile { Blocks = { "author-0", "author-1", "author-2" } } };

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Empty(body!["items"]!.AsArray());
        Assert.Null(body["nextCursor"]);
        Assert.Equal("filters", body["degraded"]![0]!["stage"]!.GetValue<string>());
        Assert.Contains("all 3 candidates were removed", body["degraded"]![0]!["reason"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_client_cannot_set_the_budget_of_the_mesh()
    {
        await using var app = Filled(3);
        app.Client.DefaultRequestHeaders.Add("mesh-budget-ms", "0");

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/u/feed");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(3, body!["items"]!.AsArray().Count);
    }

    private static GatewayApp Filled(int items)
    {
        var app = new GatewayApp();
        for (int i = 0; i < items; i++) app.Services.Catalogue.Add(FakeServices.Item($"item-{i}", $"author-{i}"));
        return app;
    }
}
