using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Items, events and profiles over HTTP: what is published, what is refused, and with which problem.</summary>
public sealed class WriteHttpTests
{
    [Fact]
    public async Task An_item_is_accepted_only_once_the_broker_holds_it()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? body, _) = await app.SendAsync(
            HttpMethod.Put, "/v1/items/i-1", """{"authorId":"a","text":"hi","tags":["x","x","y"],"attributes":{"kind":"post","n":5},"unknownField":[]}""");

        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("i-1", body!["itemId"]!.GetValue<string>());
        ItemChange change = Assert.Single(app.Topics.On<ItemChange>(Topics.Items));
        Assert.True(MeshId.IsUlid(change.EventId));
        Assert.Equal(GatewayApp.Now.ToUnixTimeMilliseconds(), change.TimeMs);
        Item item = change.Upserted;
        Assert.Equal(
            ("i-1", "a", "hi", GatewayApp.Now.ToUnixTimeMilliseconds()), (item.ItemId, item.AuthorId, item.Text, item.CreatedAtMs));
        Assert.Equal(["x", "y"], item.Tags);
        Assert.Equal("5", item.Attributes["n"]);
    }

    [Fact]
    public async Task A_broker_that_is_down_is_503_with_retry_after_and_nothing_is_claimed()
    {
        await using var app = new GatewayApp();
        app.Topics.IsDown = true;

        (HttpStatusCode put, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Put, "/v1/items/i", """{"authorId":"a"}""");
        (HttpStatusCode events, _, _) = await app.SendAsync(HttpMethod.Post, "/v1/events", """{"events":[{"userId":"u","itemId":"i","action":"like"}]}""");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, put);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, events);
        AssertProblem(response, problem, 503);
        Assert.True(response.Headers.RetryAfter?.Delta > TimeSpan.Zero);
    }

    [Fact]
    public async Task Every_fault_of_a_body_is_told_at_once()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(
            HttpMethod.Put, "/v1/items/i%20d", """{"itemId":"other","text":5,"tags":[1],"createdAt":"x","language":"?","durationMs":-4,"attributes":3}""");

        Assert.Equal(HttpStatusCode.BadRequest, status);
        AssertProblem(response, problem, 400);
        Assert.Equal(
            ["attributes", "authorId", "createdAt", "durationMs", "itemId", "language", "tags[0]", "text"],
            problem!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
        Assert.Empty(app.Topics.On<ItemChange>(Topics.Items));
    }

    [Fact]
    public async Task One_bad_row_never_rejects_its_batch_whatever_is_wrong_with_it()
    {
        await using var app = new GatewayApp();
        const string Rows = """
            {"events":[
              {"userId":"u","itemId":"i","action":"like","time":"2026-11-22T12:00:00Z","value":2.5,"surface":"home"},
              null, 5, "text", [], {"userId":7}, {"userId":"u","itemId":"i","action":"nonsense","time":"soon"},
              {"userId":"\udead","itemId":"i","action":"like"},
              {"userId":"u","userId":"v","itemId":"i","action":"like"},
              {"userId":"u","itemId":"i","action":"impression"}
            ]}
            """;

        (HttpStatusCode status, JsonNode? body, _) = await app.SendAsync(HttpMethod.Post, "/v1/events", Rows);

        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal(2, body!["accepted"]!.GetValue<int>());
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], body["rejected"]!.AsArray().Select(row => row!["index"]!.GetValue<int>()));
        Assert.Equal(
            ["action", "time"], body["rejected"]![5]!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
        IReadOnlyList<Engagement> published = app.Topics.On<Engagement>(Topics.Engagements);
        Assert.Equal(["like", "impression"], published.Select(engagement => engagement.Action));
        Assert.Equal(
            (2.5f, "home", GatewayApp.Now.AddHours(-1).ToUnixTimeMilliseconds()), (published[0].Value, published[0].Surface, published[0].TimeMs));
        Assert.Equal(GatewayApp.Now.ToUnixTimeMilliseconds(), published[0].ReceivedAtMs);
        Assert.True(MeshId.IsUlid(published[0].EventId));
    }

    [Fact]
    public async Task An_event_without_a_time_takes_that_of_its_id_however_often_it_is_sent()
    {
        await using var app = new GatewayApp();
        DateTimeOffset happened = GatewayApp.Now.AddDays(-400).AddMilliseconds(7);
        string id = Ulid.NewUlid(happened).ToString();
        string row = $$"""{"events":[{"eventId":"{{id.ToLowerInvariant()}}","userId":"u","itemId":"i","action":"like"}]}""";

        await app.SendAsync(HttpMethod.Post, "/v1/events", row);
        app.Clock.Advance(TimeSpan.FromHours(1));
        await app.SendAsync(HttpMethod.Post, "/v1/events", row);
        await app.SendAsync(HttpMethod.Post, "/v1/events", row.Replace("\"userId\"", "\"time\":5,\"userId\"", StringComparison.Ordinal));

        Assert.Equal(
            [(id, happened.ToUnixTimeMilliseconds()), (id, happened.ToUnixTimeMilliseconds()), (id, 5)],
            app.Topics.On<Engagement>(Topics.Engagements).Select(engagement => (engagement.EventId, engagement.TimeMs)));
    }

    [Fact]
    public async Task Rows_that_the_broker_refuses_are_rejected_with_its_reason()
    {
        await using var app = new GatewayApp();
        app.Topics.Refuses = message => message is Engagement { ItemId: "full" } ? "the queue is full" : null;

        (HttpStatusCode status, JsonNode? body, _) = await app.SendAsync(
            HttpMethod.Post, "/v1/events", """{"events":[{"bad":1},{"userId":"u","itemId":"full","action":"like"},{"userId":"u","itemId":"fine","action":"like"}]}""");
        (HttpStatusCode all, _, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Post, "/v1/events", """{"events":[{"userId":"u","itemId":"full","action":"like"}]}""");

        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal(1, body!["accepted"]!.GetValue<int>());
        Assert.Equal([0, 1], body["rejected"]!.AsArray().Select(row => row!["index"]!.GetValue<int>()));
        Assert.Contains("the queue is full", body["rejected"]![1]!["errors"]!["broker"]![0]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, all);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    [Fact]
    public async Task Of_rows_for_the_same_item_in_one_batch_the_last_wins()
    {
        await using var app = new GatewayApp();

        (_, JsonNode? body, _) = await app.SendAsync(
            HttpMethod.Post, "/v1/items", """{"items":[{"itemId":"i","authorId":"a","text":"first"},{"itemId":"j","authorId":"a"},{"itemId":"i","authorId":"a","text":"last"}]}""");

        Assert.Equal(3, body!["accepted"]!.GetValue<int>());
        Assert.Equal(
            ["j:", "i:last"], app.Topics.On<ItemChange>(Topics.Items).Select(change => $"{change.Upserted.ItemId}:{change.Upserted.Text}"));
    }

    [Theory]
    [InlineData("""{"items":[]}""", "holds 0 rows; 1-1000")]
    [InlineData("""{"items":5}""", "missing or not an array")]
    [InlineData("""{}""", "missing or not an array")]
    [InlineData("""{"items":[],"items":[]}""", "given 2 times")]
    public async Task A_batch_without_rows_is_refused(string json, string fragment)
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, _) = await app.SendAsync(HttpMethod.Post, "/v1/items", json);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains(fragment, problem!["errors"]!["items"]![0]!.GetValue<string>());
    }

    [Fact]
    public async Task A_batch_of_a_thousand_is_taken_and_one_more_is_refused_naming_the_limit()
    {
        await using var app = new GatewayApp();
        static string Rows(int count) => $$"""{"items":[{{string.Join(',', Enumerable.Range(0, count).Select(i => $$"""{"itemId":"i{{i}}","authorId":"a"}"""))}}]}""";

        (HttpStatusCode taken, JsonNode? body, _) = await app.SendAsync(HttpMethod.Post, "/v1/items", Rows(1_000));
        (HttpStatusCode refused, JsonNode? problem, _) = await app.SendAsync(HttpMethod.Post, "/v1/items", Rows(1_001));

        Assert.Equal(HttpStatusCode.Accepted, taken);
        Assert.Equal(1_000, body!["accepted"]!.GetValue<int>());
        Assert.Equal(HttpStatusCode.BadRequest, refused);
        Assert.Contains("1001 rows; 1-1000", problem!["errors"]!["items"]![0]!.GetValue<string>());
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("{\"items\":[\n  {\"itemId\":}]}", "line 2, position 13")]
    [InlineData("{\"items\":[NaN]}", "line 1, position 11")]
    [InlineData("{'items':[]}", "line 1, position 2")]
    [InlineData("{\"items\":[]} trailing", "line 1")]
    public async Task Text_that_is_not_json_is_400_with_the_place(string body, string fragment)
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Post, "/v1/items", body);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        AssertProblem(response, problem, 400);
        Assert.Contains(fragment, problem!["detail"]!.GetValue<string>());
    }

    [Fact]
    public async Task Json_nested_without_end_is_refused()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, _) = await app.SendAsync(
            HttpMethod.Post, "/v1/items", $"{{\"items\":{new string('[', 100_000)}");

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("nested at most 32 deep", problem!["detail"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-protobuf")]
    public async Task Another_content_type_is_415(string contentType)
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Post, "/v1/items", "{}", contentType);

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, status);
        AssertProblem(response, problem, 415);
    }

    [Fact]
    public async Task A_body_over_eight_mebibytes_is_413_announced_or_not()
    {
        await using var app = new GatewayApp();
        byte[] large = new byte[Limits.BodyBytesMax + 1];
        Array.Fill(large, (byte)' ');

        (HttpStatusCode announced, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Post, "/v1/items", new ByteArrayContent(large));
        (HttpStatusCode streamed, _, _) = await app.SendAsync(HttpMethod.Post, "/v1/items", new StreamContent(new Endless(large)));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, announced);
        AssertProblem(response, problem, 413);
        Assert.Contains(Limits.BodyBytesMax.ToString(CultureInfo.InvariantCulture), problem!["detail"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, streamed);
    }

    [Theory]
    [InlineData("GET", "/v1/nothing-here", 404)]
    [InlineData("GET", "/v2/items", 404)]
    [InlineData("PATCH", "/v1/items/i", 405)]
    [InlineData("GET", "/v1/events", 405)]
    [InlineData("POST", "/v1/users/u/feed", 405)]
    public async Task Unknown_routes_and_methods_are_problems_even_for_a_browser(string method, string path, int expected)
    {
        await using var app = new GatewayApp();
        app.Client.DefaultRequestHeaders.Add("Accept", "text/html");

        (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(new HttpMethod(method), path);

        Assert.Equal(expected, (int)status);
        AssertProblem(response, problem, expected);
        Assert.NotNull(problem!["detail"]);
    }

    [Fact]
    public async Task Deleting_an_item_publishes_its_deletion()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, _, _) = await app.SendAsync(HttpMethod.Delete, "/v1/items/gone");

        Assert.Equal(HttpStatusCode.Accepted, status);
        Assert.Equal("gone", Assert.Single(app.Topics.On<ItemChange>(Topics.Items)).DeletedItemId);
    }

    [Fact]
    public async Task Eligibility_changes_only_the_fields_that_are_given()
    {
        await using var app = new GatewayApp();
        app.Services.Catalogue.Add(FakeServices.Item("i", "a"));

        (HttpStatusCode status, _, _) = await app.SendAsync(HttpMethod.Patch, "/v1/items/i/eligibility", """{"hidden":false,"regions":[]}""");

        Assert.Equal(HttpStatusCode.Accepted, status);
        EligibilityChange change = Assert.Single(app.Topics.On<EligibilityChange>(Topics.Eligibility));
        Assert.Equal(["hidden", "regions"], change.Fields);
        Assert.Equal("i", change.ItemId);
    }

    [Fact]
    public async Task Eligibility_of_an_unknown_item_is_404_with_a_reason_and_is_let_through_where_nobody_can_say()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode unknown, JsonNode? problem, _) = await app.SendAsync(HttpMethod.Patch, "/v1/items/i/eligibility", """{"hidden":true}""");
        app.Services.Down[AppIds.IndexUpdater] = true;
        (HttpStatusCode nobody, _, _) = await app.SendAsync(HttpMethod.Patch, "/v1/items/i/eligibility", """{"hidden":true}""");

        Assert.Equal(HttpStatusCode.NotFound, unknown);
        Assert.Contains("not known to the index", problem!["detail"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.Accepted, nobody);
        Assert.Single(app.Topics.On<EligibilityChange>(Topics.Eligibility));
    }

    [Theory]
    [InlineData("PUT", "follows/a", ProfileList.Follows, "a", false)]
    [InlineData("DELETE", "follows/a", ProfileList.Follows, "a", true)]
    [InlineData("PUT", "mutes/a", ProfileList.Mutes, "a", false)]
    [InlineData("DELETE", "blocks/a", ProfileList.Blocks, "a", true)]
    [InlineData("PUT", "muted-words/new%20york", ProfileList.MutedWords, "new york", false)]
    [InlineData("DELETE", "muted-words/and%2For", ProfileList.MutedWords, "and/or", true)]
    public async Task Profile_changes_are_durable_calls(string method, string path, ProfileList list, string value, bool remove)
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, _, _) = await app.SendAsync(new HttpMethod(method), $"/v1/users/u/{path}");

        Assert.Equal(HttpStatusCode.NoContent, status);
        (string userId, ProfileChange change) = Assert.Single(app.Services.ProfileChanges);
        Assert.Equal(("u", list, value, remove), (userId, change.List, change.Value, change.Remove));
    }

    [Fact]
    public async Task A_profile_change_is_refused_for_bad_ids_and_words_and_when_the_store_refuses_or_is_down()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode bad, JsonNode? problem, _) = await app.SendAsync(HttpMethod.Put, "/v1/users/a%20b/follows/c%20d");
        (HttpStatusCode blank, _, _) = await app.SendAsync(HttpMethod.Put, "/v1/users/u/muted-words/!!");
        (HttpStatusCode tooLong, _, _) = await app.SendAsync(HttpMethod.Put, $"/v1/users/u/muted-words/{new string('w', 101)}");
        app.Services.ProfileRefusal = new ServiceUnavailableException("follows holds 10000 values, which is the most allowed.", 409);
        (HttpStatusCode full, JsonNode? fullProblem, _) = await app.SendAsync(HttpMethod.Put, "/v1/users/u/follows/a");
        app.Services.Down[AppIds.SequenceStore] = true;
        (HttpStatusCode down, _, HttpResponseMessage downResponse) = await app.SendAsync(HttpMethod.Put, "/v1/users/u/follows/a");

        Assert.Equal(HttpStatusCode.BadRequest, bad);
        Assert.Equal(["authorId", "userId"], problem!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
        Assert.Equal([HttpStatusCode.BadRequest, HttpStatusCode.BadRequest], [blank, tooLong]);
        Assert.Equal(HttpStatusCode.Conflict, full);
        Assert.Contains("10000", fullProblem!["detail"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, down);
        Assert.NotNull(downResponse.Headers.RetryAfter);
    }

    [Fact]
    public async Task Erasing_twice_is_fine()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode first, _, _) = await app.SendAsync(HttpMethod.Delete, "/v1/users/u");
        (HttpStatusCode second, _, _) = await app.SendAsync(HttpMethod.Delete, "/v1/users/u");

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NoContent), (first, second));
        Assert.Equal(["u", "u"], app.Services.Erased);
    }

    [Fact]
    public async Task History_is_read_as_of_a_moment()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/users/u/history?asOf=2026-11-22T13:00:00Z&limit=5");
        (HttpStatusCode bad, JsonNode? problem, _) = await app.GetAsync("/v1/users/u/history?asOf=never&limit=1001");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal("2026-11-22T13:00:00.000Z", body!["events"]![0]!["time"]!.GetValue<string>());
        Assert.Equal(5, body["events"]![0]!["value"]!.GetValue<float>());
        Assert.Equal(7, body["eventsTotal"]!.GetValue<long>());
        Assert.Equal(HttpStatusCode.BadRequest, bad);
        Assert.Equal(["asOf", "limit"], problem!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Similar_items_are_listed_without_hidden_ones_and_an_unknown_item_is_404()
    {
        await using var app = new GatewayApp();
        app.Services.Catalogue.AddRange([FakeServices.Item("i", "a"), FakeServices.Item("j", "b"), FakeServices.Item("hidden", "b")]);
        app.Services.Catalogue[2].Eligibility.Hidden = true;

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/items/i/similar?limit=5");
        (HttpStatusCode unknown, JsonNode? problem, _) = await app.GetAsync("/v1/items/nobody/similar");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(["j"], body!["items"]!.AsArray().Select(item => item!["itemId"]!.GetValue<string>()));
        Assert.Equal(HttpStatusCode.NotFound, unknown);
        Assert.Contains("nobody", problem!["detail"]!.GetValue<string>());
    }

    [Fact]
    public void A_large_batch_is_published_in_calls_that_a_sidecar_takes()
    {
        Item[] items = [.. Enumerable.Range(0, 1_000).Select(i => new Item { ItemId = $"i{i}", Text = new string('x', 5_000) })];

        List<int>[] calls = [.. CallBatches.Split(Enumerable.Range(0, items.Length), index => items[index].CalculateSize())];

        Assert.Equal(items, calls.SelectMany(call => call.Select(index => items[index])));
        Assert.All(calls, call => Assert.True(call.Sum(index => items[index].CalculateSize()) <= 1024 * 1024));
        Assert.Equal(5, calls.Length);
    }

    [Theory]
    [InlineData("users/secret-user/context?asOf=1", "sequence-store (context)")]
    [InlineData("users/secret-user", "sequence-store (user)")]
    [InlineData("requests", "sequence-store (requests)")]
    public void A_failure_names_the_call_and_never_the_user(string path, string expected) =>
        Assert.Equal(expected, SidecarServices.Operation(AppIds.SequenceStore, path));

    [Theory]
    [InlineData("""{"type":"x","detail":"The list holds \"10000\" entries.","status":409}""", ": The list holds \"10000\" entries.")]
    [InlineData("""{"errorCode":"ERR_DIRECT_INVOKE","message":"couldn't find service: ranker"}""", ": ERR_DIRECT_INVOKE: couldn't find service: ranker")]
    [InlineData("""{"errorCode":"ERR_DIRECT_INVOKE","message":"half an escape \u00""", ": ERR_DIRECT_INVOKE.")]
    [InlineData("""{"errorCode":"ERR_DIRECT_INVOKE"}""", ": ERR_DIRECT_INVOKE.")]
    [InlineData("plain text", ".")]
    public void The_reason_of_a_service_or_a_sidecar_is_passed_on(string body, string expected) =>
        Assert.Equal(
            expected, RefusalReason.Of(new Hosting.ServiceCallException(AppIds.SequenceStore, "users/u/profile", 409, body).Message));

    [Fact]
    public void A_sidecars_message_is_passed_on_shortened_and_without_the_user_in_the_address_it_quotes()
    {
        string body = JsonSerializer.Serialize(new
        {
            errorCode = "ERR_DIRECT_INVOKE",
            message = $"failed after 3 retries. Error: Get \"http://127.0.0.1:7001/users/secret-user/context?asOf=1\": {new string('x', 400)}",
        });

        string reason = RefusalReason.Of(new Hosting.ServiceCallException(AppIds.SequenceStore, "users/secret-user/context", 500, body).Message);

        Assert.StartsWith(": ERR_DIRECT_INVOKE: failed after 3 retries. Error: Get \"http://127.0.0.1:7001/users/.../context?asOf=1\": xx", reason, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-user", reason, StringComparison.Ordinal);
        Assert.InRange(reason.Length, 100, 200);
    }

    internal static void AssertProblem(HttpResponseMessage response, JsonNode? problem, int status)
    {
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(status, problem!["status"]!.GetValue<int>());
        Assert.NotNull(problem["title"]);
        Assert.NotNull(problem["type"]);
    }

    /// <summary>A body whose length nobody announces.</summary>
    private sealed class Endless(byte[] bytes) : MemoryStream(bytes)
    {
        public override bool CanSeek => false;
    }
}
