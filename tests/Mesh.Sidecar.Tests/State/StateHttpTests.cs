using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Mesh.Sidecar.Tests.State;

/// <summary>The state API over HTTP, by Dapr's state API reference.</summary>
public sealed class StateHttpTests : IAsyncLifetime
{
    private const string Store = "v1.0/state/statestore";
    private SidecarHarness _sidecar = null!;

    private HttpClient Http => _sidecar.Http;

    public async Task InitializeAsync() => _sidecar = await SidecarHarness.StartAsync(SidecarHarness.SqliteState);

    public async Task DisposeAsync() => await _sidecar.DisposeAsync();

    [Theory]
    [InlineData("""{"a":[1,2,{"b":null}],"c":true}""")]
    [InlineData("\"text\"")]
    [InlineData("42")]
    [InlineData("[]")]
    public async Task A_value_saved_as_json_comes_back_as_that_json(string value)
    {
        Answer saved = await Http.Post(Store, $$"""[{"key":"k","value":{{value}}}]""");
        Answer read = await Http.Get($"{Store}/k");

        Assert.Equal((HttpStatusCode.NoContent, ""), (saved.Status, saved.Body));
        Assert.Equal((HttpStatusCode.OK, value), (read.Status, read.Body));
        Assert.Equal("application/json", read.ContentType!.MediaType);
        Assert.NotEmpty(read.Header("ETag")!);
    }

    [Fact]
    public async Task A_missing_key_is_204_without_a_body()
    {
        Answer read = await Http.Get($"{Store}/absent");

        Assert.Equal((HttpStatusCode.NoContent, ""), (read.Status, read.Body));
    }

    [Fact]
    public async Task Put_saves_like_post()
    {
        Answer saved = await Http.Put(Store, """[{"key":"k","value":1}]""");

        Assert.Equal(HttpStatusCode.NoContent, saved.Status);
        Assert.Equal("1", (await Http.Get($"{Store}/k")).Body);
    }

    [Fact]
    public async Task Many_states_are_saved_by_one_call_and_none_by_an_empty_one()
    {
        Answer many = await Http.Post(Store, """[{"key":"a","value":1},{"key":"b","value":2}]""");
        Answer none = await Http.Post(Store, "[]");

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NoContent), (many.Status, none.Status));
        Assert.Equal("2", (await Http.Get($"{Store}/b")).Body);
    }

    [Fact]
    public async Task An_unknown_store_is_400_with_its_code()
    {
        foreach (Answer answer in new[]
        {
            await Http.Get("v1.0/state/other/k"), await Http.Post("v1.0/state/other", "[]"), await Http.Delete("v1.0/state/other/k"),
            await Http.Post("v1.0/state/other/bulk", "{}"), await Http.Post("v1.0/state/other/transaction", "{}"),
        })
        {
            Assert.Equal((HttpStatusCode.BadRequest, "ERR_STATE_STORE_NOT_FOUND"), (answer.Status, answer.ErrorCode));
            Assert.Equal("state store other is not found", answer.Message);
            JsonElement detail = answer.Json.GetProperty("details")[0];
            Assert.Equal(("DAPR_STATE_NOT_FOUND", "testapp"),
                (detail.GetProperty("reason").GetString(), detail.GetProperty("metadata").GetProperty("appID").GetString()));
        }
    }

    [Fact]
    public async Task Without_any_store_it_is_500_not_configured()
    {
        await using SidecarHarness bare = await SidecarHarness.StartAsync();

        Answer answer = await bare.Http.Get($"{Store}/k");

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_STORE_NOT_CONFIGURED"), (answer.Status, answer.ErrorCode));
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("""{"key":"k"}""")]
    [InlineData("""[{"value":1}]""")]
    [InlineData("")]
    public async Task A_body_that_is_no_list_of_states_is_400_malformed(string body)
    {
        Answer answer = await Http.Post(Store, body);

        Assert.Equal((HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST"), (answer.Status, answer.ErrorCode));
    }

    [Fact]
    public async Task A_body_that_is_not_utf8_is_400_malformed()
    {
        using var body = new ByteArrayContent([.. "[{\"key\":\"k\",\"value\":\""u8, 0xFF, .. "\"}]"u8]);

        using HttpResponseMessage answer = await Http.PostAsync(new Uri(Store, UriKind.Relative), body);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
    }

    [Fact]
    public async Task A_key_with_two_bars_is_400_malformed()
    {
        foreach (Answer answer in new[] { await Http.Post(Store, """[{"key":"a||b","value":1}]"""), await Http.Get($"{Store}/a%7C%7Cb") })
        {
            Assert.Equal((HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST"), (answer.Status, answer.ErrorCode));
            Assert.Equal("input key/keyPrefix 'a||b' can't contain '||'", answer.Message);
        }
    }

    [Theory]
    [InlineData("with space")]
    [InlineData("a/b")]
    [InlineData("ünï%c+d&e=f?g#h")]
    [InlineData("u:1:c:2")]
    public async Task Any_key_can_be_named_in_the_path_when_escaped(string key)
    {
        await Http.Post(Store, $$"""[{"key":{{JsonSerializer.Serialize(key)}},"value":1}]""");

        Answer read = await Http.Get($"{Store}/{Uri.EscapeDataString(key)}");
        Answer deleted = await Http.Delete($"{Store}/{Uri.EscapeDataString(key)}");

        Assert.Equal("1", read.Body);
        Assert.Equal(HttpStatusCode.NoContent, deleted.Status);
        Assert.Equal(HttpStatusCode.NoContent, (await Http.Get($"{Store}/{Uri.EscapeDataString(key)}")).Status);
    }

    [Fact]
    public async Task A_save_with_an_old_etag_is_409_and_changes_nothing()
    {
        await Http.Post(Store, """[{"key":"k","value":1}]""");
        string etag = (await Http.Get($"{Store}/k")).Header("ETag")!;

        Answer current = await Http.Post(Store, $$"""[{"key":"k","value":2,"etag":"{{etag}}"}]""");
        Answer old = await Http.Post(Store, $$$"""[{"key":"k","value":3,"etag":"{{{etag}}}","options":{"concurrency":"first-write","consistency":"strong"}}]""");

        Assert.Equal(HttpStatusCode.NoContent, current.Status);
        Assert.Equal((HttpStatusCode.Conflict, "ERR_STATE_SAVE"), (old.Status, old.ErrorCode));
        Assert.StartsWith("failed saving state in state store statestore: possible etag mismatch", old.Message, StringComparison.Ordinal);
        Assert.Equal("2", (await Http.Get($"{Store}/k")).Body);
    }

    [Fact]
    public async Task First_write_without_an_etag_creates_but_never_replaces()
    {
        const string Body = """[{"key":"k","value":1,"options":{"concurrency":"first-write"}}]""";

        Answer first = await Http.Post(Store, Body);
        Answer second = await Http.Post(Store, Body);

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.Conflict), (first.Status, second.Status));
    }

    [Fact]
    public async Task A_conflict_of_one_state_leaves_the_others_of_the_call_saved()
    {
        await Http.Post(Store, """[{"key":"taken","value":0}]""");

        Answer answer = await Http.Post(Store, """[{"key":"a","value":1},{"key":"taken","value":2,"etag":"x"},{"key":"b","value":3}]""");

        Assert.Equal(HttpStatusCode.Conflict, answer.Status);
        Assert.Equal("103", (await Http.Get($"{Store}/a")).Body + (await Http.Get($"{Store}/taken")).Body + (await Http.Get($"{Store}/b")).Body);
    }

    [Fact]
    public async Task A_delete_checks_if_match()
    {
        await Http.Post(Store, """[{"key":"k","value":1}]""");
        string etag = (await Http.Get($"{Store}/k")).Header("ETag")!;

        Answer wrong = await Http.Delete($"{Store}/k", ("If-Match", "wrong"));
        Answer right = await Http.Delete($"{Store}/k?concurrency=first-write&consistency=strong", ("If-Match", etag));

        Assert.Equal((HttpStatusCode.Conflict, "ERR_STATE_DELETE"), (wrong.Status, wrong.ErrorCode));
        Assert.Equal(HttpStatusCode.NoContent, right.Status);
        Assert.Equal("", (await Http.Get($"{Store}/k")).Body);
    }

    [Theory]
    [InlineData("""{"concurrency":"maybe"}""")]
    [InlineData("""{"consistency":"weak"}""")]
    public async Task Options_that_do_not_exist_are_refused(string options)
    {
        Answer answer = await Http.Post(Store, $$"""[{"key":"k","value":1,"options":{{options}}}]""");

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_SAVE"), (answer.Status, answer.ErrorCode));
    }

    [Theory]
    [InlineData("", ",\"metadata\":{\"ttlInSeconds\":\"60\"}")]
    [InlineData("?metadata.ttlInSeconds=60", "")]
    public async Task A_ttl_comes_back_as_expiry_time_in_the_headers(string query, string metadata)
    {
        await Http.Post(Store + query, $$"""[{"key":"k","value":1{{metadata}}}]""");

        string expires = (await Http.Get($"{Store}/k")).Header("metadata.ttlExpireTime")!;

        DateTimeOffset time = DateTimeOffset.ParseExact(expires, "yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        Assert.InRange(time - DateTimeOffset.UtcNow, TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task A_ttl_that_is_no_number_is_refused()
    {
        Answer answer = await Http.Post(Store, """[{"key":"k","value":1,"metadata":{"ttlInSeconds":"soon"}}]""");

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_SAVE"), (answer.Status, answer.ErrorCode));
        Assert.Contains("ttlInSeconds", answer.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bulk_get_answers_every_key_in_order_the_missing_ones_without_data()
    {
        await Http.Post(Store, """[{"key":"a","value":{"x":1}},{"key":"b","value":"two","metadata":{"ttlInSeconds":"60"}}]""");

        Answer answer = await Http.Post($"{Store}/bulk", """{"keys":["b","absent","a"],"parallelism":10}""");

        JsonElement[] items = [.. answer.Json.EnumerateArray()];
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        Assert.Equal(["a", "absent", "b"], items.Select(item => item.GetProperty("key").GetString()!).Order(StringComparer.Ordinal));
        JsonElement Item(string key) => items.Single(item => item.GetProperty("key").GetString() == key);
        Assert.Equal("""{"x":1}""", Item("a").GetProperty("data").GetRawText());
        Assert.NotEmpty(Item("a").GetProperty("etag").GetString()!);
        Assert.False(Item("absent").TryGetProperty("data", out _));
        Assert.True(Item("b").GetProperty("metadata").TryGetProperty("ttlExpireTime", out _));
    }

    [Fact]
    public async Task Bulk_get_of_no_keys_is_an_empty_list_and_of_no_json_400()
    {
        Answer none = await Http.Post($"{Store}/bulk", """{"keys":[]}""");
        Answer broken = await Http.Post($"{Store}/bulk", "{");

        Assert.Equal((HttpStatusCode.OK, "[]"), (none.Status, none.Body.Trim()));
        Assert.Equal((HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST"), (broken.Status, broken.ErrorCode));
    }

    [Fact]
    public async Task A_transaction_upserts_and_deletes_together()
    {
        await Http.Post(Store, """[{"key":"gone","value":0}]""");

        Answer answer = await Http.Post($"{Store}/transaction", """
            {"operations":[{"operation":"upsert","request":{"key":"a","value":1}},{"operation":"delete","request":{"key":"gone"}}],
             "metadata":{"partitionKey":"p"}}
            """);

        Assert.Equal((HttpStatusCode.NoContent, ""), (answer.Status, answer.Body));
        Assert.Equal("1", (await Http.Get($"{Store}/a")).Body);
        Assert.Equal(HttpStatusCode.NoContent, (await Http.Get($"{Store}/gone")).Status);
    }

    [Fact]
    public async Task A_transaction_that_conflicts_is_500_and_leaves_nothing()
    {
        Answer answer = await Http.Post($"{Store}/transaction", """
            {"operations":[{"operation":"upsert","request":{"key":"a","value":1}},{"operation":"upsert","request":{"key":"b","value":1,"etag":"x"}}]}
            """);

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_TRANSACTION"), (answer.Status, answer.ErrorCode));
        Assert.Equal(HttpStatusCode.NoContent, (await Http.Get($"{Store}/a")).Status);
    }

    [Theory]
    [InlineData("""{"operations":[{"operation":"increment","request":{"key":"a"}}]}""", "ERR_NOT_SUPPORTED_STATE_OPERATION")]
    [InlineData("""{"operations":[{"operation":"upsert","request":{"key":"a||b","value":1}}]}""", "ERR_MALFORMED_REQUEST")]
    [InlineData("""{"operations":""", "ERR_MALFORMED_REQUEST")]
    public async Task A_transaction_that_makes_no_sense_is_400(string body, string code)
    {
        Answer answer = await Http.Post($"{Store}/transaction", body);

        Assert.Equal((HttpStatusCode.BadRequest, code), (answer.Status, answer.ErrorCode));
    }

    [Fact]
    public async Task The_query_api_says_that_the_store_has_none()
    {
        Answer answer = await Http.Post("v1.0-alpha1/state/statestore/query", "{}");

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_STORE_NOT_SUPPORTED"), (answer.Status, answer.ErrorCode));
    }

    [OwnSidecarFact]
    public async Task A_body_over_the_limit_is_413()
    {
        await using SidecarHarness small = await SidecarHarness.StartAsync(
            SidecarHarness.InMemoryState, configure: options => options with { BodyBytesMax = 1_000 });

        Answer answer = await small.Http.Post(Store, $$"""[{"key":"k","value":"{{new string('x', 2_000)}}"}]""");

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.Status);
    }
}
