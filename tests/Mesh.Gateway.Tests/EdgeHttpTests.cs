using System.Net;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Everything around the API: system view, health, keys, rate limits, the description of the API.</summary>
public sealed class EdgeHttpTests
{
    private const string Key = "0123456789abcdef";

    [Fact]
    public async Task The_system_view_lists_services_index_and_lag()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/system");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(
            ["gateway", "sequence-store", "retrieval", "ranker", "index-updater"], body!["services"]!.AsArray().Select(service => service!["appId"]!.GetValue<string>()));
        Assert.All(body["services"]!.AsArray(), service => Assert.Equal("up", service!["status"]!.GetValue<string>()));
        Assert.Equal("1.2.3", body["services"]![1]!["version"]!.GetValue<string>());
        Assert.Equal(
            (12, 40, 43), (body["index"]!["items"]!.GetValue<int>(), body["index"]!["sequence"]!.GetValue<int>(), body["index"]!["headSequence"]!.GetValue<int>()));
        Assert.Equal(
            (3, 321, 55), (body["eventLag"]!["deltas"]!.GetValue<int>(), body["eventLag"]!["retrievableMs"]!.GetValue<int>(), body["eventLag"]!["updaterMs"]!.GetValue<int>()));
        Assert.Equal(77, body["eventLag"]!["sequenceStoreMs"]!.GetValue<int>());
        Assert.Equal("heuristic-1", body["modelVersion"]!.GetValue<string>());
        Assert.Contains("author-diversity", body["pipeline"]!.AsArray().Select(stage => stage!.GetValue<string>()));
    }

    [Fact]
    public async Task A_dead_service_is_a_line_of_the_system_view_and_a_hanging_one_does_not_hold_it_up()
    {
        await using var app = new GatewayApp(TimeProvider.System, ("Gateway:StatusTimeoutMs", "2000"));
        app.Services.Down[AppIds.Ranker] = true;
        app.Services.Hanging[AppIds.Retrieval] = true;

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/system").WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(HttpStatusCode.OK, status);
        Dictionary<string, JsonNode?> services = body!["services"]!.AsArray().ToDictionary(service => service!["appId"]!.GetValue<string>());
        Assert.Equal("down", services["ranker"]!["status"]!.GetValue<string>());
        Assert.Contains("cannot be reached", services["ranker"]!["reason"]!.GetValue<string>());
        Assert.Equal("down", services["retrieval"]!["status"]!.GetValue<string>());
        Assert.Contains("no answer within 2000 ms", services["retrieval"]!["reason"]!.GetValue<string>());
        Assert.Equal("up", services["index-updater"]!["status"]!.GetValue<string>());
        Assert.Equal(43, body["index"]!["headSequence"]!.GetValue<int>());
    }

    [Fact]
    public async Task The_gateway_is_ready_when_its_sidecar_answers_and_alive_either_way()
    {
        await using var app = new GatewayApp();

        Assert.Equal(HttpStatusCode.OK, (await app.GetAsync("/readyz")).Status);
        app.Services.Down["sidecar"] = true;

        (HttpStatusCode ready, JsonNode? body, _) = await app.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready);
        Assert.Contains("does not answer", body!["notReady"]!["sidecar"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.OK, (await app.GetAsync("/healthz")).Status);
    }

    [Fact]
    public async Task The_root_leads_to_swagger_which_describes_every_operation()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode root, _, HttpResponseMessage redirect) = await app.GetAsync("/");
        (HttpStatusCode page, _, _) = await app.GetAsync("/swagger/index.html");
        (HttpStatusCode status, JsonNode? document, _) = await app.GetAsync("/swagger/v1/swagger.json");

        Assert.Equal((HttpStatusCode.Found, "/swagger"), (root, redirect.Headers.Location!.OriginalString));
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (page, status));
        string[] operations = [.. document!["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation => $"{operation.Key.ToUpperInvariant()} {path.Key}")).Order(StringComparer.Ordinal)];
        Assert.Equal(
            [
                "DELETE /v1/items/{itemId}", "DELETE /v1/users/{userId}", "DELETE /v1/users/{userId}/blocks/{authorId}", "DELETE /v1/users/{userId}/follows/{authorId}",
                "DELETE /v1/users/{userId}/muted-words/{word}", "DELETE /v1/users/{userId}/mutes/{authorId}", "GET /v1/items/{itemId}/similar", "GET /v1/models", "GET /v1/system",
                "GET /v1/users/{userId}/feed", "GET /v1/users/{userId}/history", "PATCH /v1/items/{itemId}/eligibility", "POST /v1/events", "POST /v1/items", "POST /v1/models",
                "PUT /v1/items/{itemId}", "PUT /v1/users/{userId}/blocks/{authorId}", "PUT /v1/users/{userId}/follows/{authorId}", "PUT /v1/users/{userId}/muted-words/{word}",
                "PUT /v1/users/{userId}/mutes/{authorId}",
            ],
            operations);
        Assert.All(
            document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject()), operation => Assert.False(string.IsNullOrEmpty(operation.Value!["summary"]?.GetValue<string>())));

        JsonNode post = document["paths"]!["/v1/events"]!["post"]!;
        Assert.Equal(
            "like", post["requestBody"]!["content"]!["application/json"]!["example"]!["events"]![0]!["action"]!.GetValue<string>());
        Assert.Equal(1, post["responses"]!["202"]!["content"]!["application/json"]!["example"]!["accepted"]!.GetValue<int>());
        Assert.Contains("application/problem+json", post["responses"]!["400"]!["content"]!.AsObject().Select(content => content.Key));
        JsonNode limit = document["paths"]!["/v1/users/{userId}/feed"]!["get"]!["parameters"]!.AsArray().Single(
            parameter => parameter!["name"]!.GetValue<string>() == "limit")!;
        Assert.Equal("integer", limit["schema"]!["type"]!.GetValue<string>());
    }

    [Fact]
    public async Task With_keys_configured_the_api_needs_one_and_health_does_not()
    {
        await using var app = new GatewayApp(("Gateway:ApiKeys:0", Key));

        (HttpStatusCode without, JsonNode? problem, HttpResponseMessage response) = await app.GetAsync("/v1/users/u/feed");
        app.Client.DefaultRequestHeaders.Add("X-Api-Key", Key + "x");
        (HttpStatusCode wrong, _, _) = await app.GetAsync("/v1/users/u/feed");
        (HttpStatusCode health, _, _) = await app.GetAsync("/healthz");
        app.Client.DefaultRequestHeaders.Remove("X-Api-Key");
        app.Client.DefaultRequestHeaders.Add("X-Api-Key", Key);
        (HttpStatusCode with, _, _) = await app.GetAsync("/v1/users/u/feed");

        Assert.Equal(
            [HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.OK, HttpStatusCode.OK], [without, wrong, health, with]);
        WriteHttpTests.AssertProblem(response, problem, 401);
        Assert.Contains("X-Api-Key", problem!["detail"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_client_past_its_rate_is_told_when_to_come_back()
    {
        await using var app = new GatewayApp(("Gateway:RateLimitPerSecond", "1"), ("Gateway:RateLimitBurst", "2"));

        var answers = new List<(HttpStatusCode Status, JsonNode? Body, HttpResponseMessage Response)>();
        for (int i = 0; i < 6; i++) answers.Add(await app.GetAsync("/v1/users/u/feed"));

        Assert.Equal(HttpStatusCode.OK, answers[0].Status);
        (_, JsonNode? problem, HttpResponseMessage refused) = answers.Last(answer => answer.Status == HttpStatusCode.TooManyRequests);
        WriteHttpTests.AssertProblem(refused, problem, 429);
        Assert.True(refused.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.OK, (await app.GetAsync("/healthz")).Status);
    }

    [Fact]
    public async Task Settings_that_cannot_work_stop_the_start_with_all_faults()
    {
        Exception failure = await Record.ExceptionAsync(async () =>
        {
            await using var app = new GatewayApp(("Gateway:RequestBudgetMs", "1"), ("Gateway:ApiKeys:0", "short"));
            await app.GetAsync("/healthz");
        });

        Assert.Contains("RequestBudgetMs", failure.ToString());
        Assert.Contains("ApiKeys:0", failure.ToString());
    }

    [Theory]
    [InlineData("Gateway:Retrieval:0 is ''", "")]
    [InlineData("Gateway:Retrieval:1 is 'no app'", "retrieval-0", "no app")]
    [InlineData("Gateway:Retrieval names 'retrieval-0' 2 times", "retrieval-0", "retrieval-0")]
    public async Task Shards_that_cannot_be_asked_stop_the_start_with_the_reason(string fault, params string[] apps)
    {
        Exception failure = await Record.ExceptionAsync(async () =>
        {
            await using var app = new GatewayApp([.. apps.Select((id, i) => ($"Gateway:Retrieval:{i}", id))]);
            await app.GetAsync("/healthz");
        });

        Assert.Contains(fault, failure.ToString());
    }

    [Fact]
    public async Task The_system_view_lists_every_shard_with_what_is_wrong_with_it()
    {
        await using var app = new GatewayApp(
            ("Gateway:Retrieval:0", "retrieval-0"), ("Gateway:Retrieval:1", "retrieval-1"), ("Gateway:Retrieval:2", "retrieval-2"));
        app.Services.Down["retrieval-1"] = true;
        app.Services.OnRetrievalStatus = id => new RetrievalStatus { Shard = 0, Items = 5, Sequence = 7, HeadSequence = 8, Ready = true };
        app.Services.OnUpdaterStatus = shard => new UpdaterStatus { Shard = (uint)shard, Shards = 3, Items = 6, HeadSequence = 8 };

        (_, JsonNode? body, _) = await app.GetAsync("/v1/system");

        string?[] faults = [.. body!["index"]!["shards"]!.AsArray().Select(shard => shard!["fault"]?.GetValue<string>())];
        Assert.Null(faults[0]);
        Assert.Contains("cannot be reached", faults[1]);
        Assert.Contains("follows shard 0 (Retrieval:Shard), and its place in Gateway:Retrieval is 2", faults[2]);
        Assert.Equal(16, body["index"]!["items"]!.GetValue<int>());
        Assert.Null(body["index"]!["sequence"]);
        Assert.Equal(["down", "up"], body["services"]!.AsArray().Skip(3).Take(2).Select(service => service!["status"]!.GetValue<string>()));
    }

    [Fact]
    public async Task The_system_view_says_that_index_updater_has_another_number_of_shards()
    {
        await using var app = new GatewayApp();
        app.Services.OnUpdaterStatus = _ => new UpdaterStatus { Shards = 2, HeadSequence = 43 };

        (_, JsonNode? body, _) = await app.GetAsync("/v1/system");

        Assert.Contains("over 2 shards (IndexUpdater:Shards), and Gateway:Retrieval names 1", body!["index"]!["shards"]![0]!["fault"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_stage_that_must_not_fail_makes_the_feed_a_503_problem()
    {
        string yaml = Path.Combine(Path.GetTempPath(), $"pipeline-{Guid.NewGuid():N}.yaml");
        await File.WriteAllTextAsync(
            yaml, "sources: [ { name: retrieval, timeout_ms: 500, on_failure: fail_request } ]\nselector: [ { name: top, timeout_ms: 50 } ]\n");
        try
        {
            await using var app = new GatewayApp(("Gateway:PipelineFile", yaml));
            app.Services.Down[AppIds.Retrieval] = true;

            (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.GetAsync("/v1/users/u/feed");

            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            WriteHttpTests.AssertProblem(response, problem, 503);
            Assert.NotNull(response.Headers.RetryAfter);
            Assert.Contains("retrieval", problem!["detail"]!.GetValue<string>());
        }
        finally
        {
            File.Delete(yaml);
        }
    }
}
