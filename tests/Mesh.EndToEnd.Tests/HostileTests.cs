using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>One request that no well-behaved client sends, and what the answer must say.</summary>
/// <param name="Path">Sent as it stands: an ordinary Uri would tidy up dots and escapes.</param>
/// <param name="Says">Part of the answer's body, as text.</param>
public sealed record HostileRequest(string Method, string Path, string? Body, int Status, string Says, string ContentType = "application/json");

/// <summary>Malformed and oversized requests through the real host: refused with a reason, and nothing falls over.</summary>
public sealed class HostileInputTests(SmallWorldMesh mesh) : IClassFixture<SmallWorldMesh>
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly string Row = """{"userId":"hostile","itemId":"i","action":"like"}""";

    private static readonly Dictionary<string, HostileRequest> Requests = new()
    {
        ["cut off"] = Events("""{"events":[""", 400, "line 1, position 12"),
        ["malformed on line 3"] = Events("{\"events\":[\n" + Row + ",\n  oops]}", 400, "line 3, position 3"),
        ["empty"] = Events("", 400, "The body is empty"),
        ["not UTF-8"] = Events($$"""{"events":[{{Row.Replace("hostile", "\u00ff", StringComparison.Ordinal)}}]}""", 202, "userId is not valid Unicode"),
        ["NaN"] = Events(WithValue("NaN"), 400, "'N' is an invalid start of a value"),
        ["Infinity"] = Events(WithValue("-Infinity"), 400, "line 1, position"),
        ["past float"] = Events(WithValue("1e999"), 202, "value is 1e999; a finite number"),
        ["NaN as text"] = Events(WithValue("\"NaN\""), 202, "value is a string; a finite number"),
        ["deep"] = Events(new string('[', 100_000), 400, "nested at most 32 deep"),
        ["deep in a row"] = Events($$"""{"events":[{"userId":{{new string('[', 40)}}{{new string(']', 40)}}}]}""", 400, "nested at most 32 deep"),
        ["1,001 rows"] = Events($$"""{"events":[{{string.Join(',', Enumerable.Repeat(Row, 1_001))}}]}""", 400, "events holds 1001 rows; 1-1000 are allowed"),
        ["no rows"] = Events("""{"events":[]}""", 400, "events holds 0 rows"),
        ["a key of the body twice"] = Events($$"""{"events":[{{Row}}],"events":[]}""", 400, "events is given 2 times"),
        ["a key of a row twice"] = Events($$"""{"events":[{{Row.Replace("{", "{\"action\":\"block\",", StringComparison.Ordinal)}}]}""", 202, "Field 'action' is given twice"),
        ["half a surrogate pair"] = Events($$"""{"events":[{{Row.Replace("hostile", "\\ud800", StringComparison.Ordinal)}}]}""", 202, "not valid Unicode"),
        ["over 8 MiB"] = Events($$"""{"events":[{{new string(' ', Limits.BodyBytesMax)}}]}""", 413, "The body is over 8388608 bytes"),
        ["an id from the far future"] = Events("""{"events":[{"eventId":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","userId":"u","itemId":"i","action":"like"}]}""", 202, "holds the time 9999"),
        ["another content type"] = Events($$"""{"events":[{{Row}}]}""", 415, "Content-Type is 'text/plain'") with { ContentType = "text/plain" },
        ["another method"] = new("DELETE", "/v1/events", null, 405, "it takes POST"),
        ["another method of the feed"] = new("PUT", "/v1/users/u/feed", "{}", 405, "it takes GET"),
        ["a slash in a user id"] = new("GET", "/v1/users/a%2Fb/feed", null, 400, "userId 'a%2Fb' is not an id"),
        ["dots for a user id"] = new("GET", "/v1/users/../feed", null, 404, "Nothing is at GET '/v1/feed'"),
        ["escaped dots for a user id"] = new("GET", "/v1/users/%2E%2E/feed", null, 404, "Nothing is at GET '/v1/feed'"),
        ["a way out of the users"] = new("GET", "/v1/users/..%2F..%2Fetc/history", null, 400, "is not an id"),
        ["an emoji for a user id"] = new("GET", "/v1/users/%F0%9F%98%80/feed", null, 400, "is not an id"),
        ["a space in a user id"] = new("GET", "/v1/users/a%20b/history", null, 400, "userId 'a b' is not an id"),
        ["the separator of state keys"] = new("DELETE", "/v1/users/a%7C%7Cb", null, 400, "is not an id"),
        ["a user id of 129 characters"] = new("GET", $"/v1/users/{new string('u', 129)}/feed", null, 400, "(129 characters) is not an id"),
        ["an emoji for an item id"] = new("PUT", "/v1/items/%F0%9F%98%80", """{"authorId":"a"}""", 400, "is not an id"),
        ["a slash in an item id"] = new("GET", "/v1/items/a%2Fb/similar", null, 400, "is not an id"),
        ["a slash in an author id"] = new("PUT", "/v1/users/u/follows/a%2Fb", null, 400, "is not an id"),
        ["no such number"] = new("GET", "/v1/users/u/feed?limit=1e999", null, 400, "limit"),
    };

    public static TheoryData<string> Names => [.. Requests.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_hostile_request_is_refused_with_a_reason(string name)
    {
        HostileRequest request = Requests[name];

        (int status, string? type, string body) = await SendAsync(request);

        Assert.True(request.Status == status, $"{status}: {body}");
        Assert.Contains(request.Says, body, StringComparison.Ordinal);
        if (status >= 400) Assert.Equal("application/problem+json", type);
    }

    [Fact]
    public async Task A_body_without_a_length_is_cut_off_at_8_MiB_too()
    {
        HostileRequest large = Requests["over 8 MiB"];

        (int status, _, string body) = await SendAsync(large, isChunked: true);

        Assert.Equal(413, status);
        Assert.Contains(large.Says, body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hostile_requests_all_at_once_take_nothing_down()
    {
        string[] apps = ["gateway", "sequence-store", "retrieval", "ranker", "index-updater"];
        int[] before = [.. apps.Select(mesh.Host.AppPid)];
        await Eventually.TrueAsync("the mesh is warm", async () => (await mesh.Api.FeedAsync("bystander", limit: 5)).Items.Length == 5);
        Task<(int Status, string? Type, string Body)>[] hostile =
            [.. Enumerable.Repeat(Requests.Values, 4).SelectMany(all => all).Select(request => SendAsync(request))];
        Task<Feed>[] feeds = [.. Enumerable.Range(0, 10).Select(i => mesh.Api.FeedAsync($"bystander-{i}", limit: 5))];

        Assert.All(await Task.WhenAll(hostile), answer => Assert.InRange(answer.Status, 200, 499));
        Assert.All(await Task.WhenAll(feeds), feed => Assert.Equal(5, feed.Items.Length));
        Assert.Equal(before, apps.Select(mesh.Host.AppPid));
        Assert.Empty((await mesh.Api.HistoryAsync("hostile")).Events);
    }

    private async Task<(int Status, string? Type, string Body)> SendAsync(HostileRequest hostile, bool isChunked = false)
    {
        var raw = new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true };
        using var request = new HttpRequestMessage(new HttpMethod(hostile.Method), new Uri(mesh.Host.GatewayUrl + hostile.Path, in raw));
        if (hostile.Body is { } text)
        {
            // One byte for each character: what is not ASCII in a body here is meant to be malformed.
            request.Content = new ByteArrayContent(Encoding.Latin1.GetBytes(text));
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(hostile.ContentType);
            request.Headers.TransferEncodingChunked = isChunked;
            // As curl does with a large body: the server refuses by the length alone, and closes the connection.
            request.Headers.ExpectContinue = text.Length > 1024 * 1024 && !isChunked;
        }

        using HttpResponseMessage response = await mesh.Api.Http.SendAsync(request);
        string body = await response.Content.ReadAsStringAsync();
        string readable = JsonNode.Parse(body)?.ToJsonString(Readable) ?? "";
        return ((int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, readable);
    }

    private static HostileRequest Events(string body, int status, string says) => new("POST", "/v1/events", body, status, says);

    private static string WithValue(string value) => $$"""{"events":[{"userId":"hostile","itemId":"i","action":"like","value":{{value}}}]}""";
}

/// <summary>A mesh whose dead stay dead.</summary>
public sealed class MeshWithoutRestarts : IAsyncLifetime
{
    private MeshHost? _host;

    public MeshHost Host => _host!;

    public MeshApi Api { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        _host = await MeshHost.StartAsync(new MeshHostOptions { Arguments = ["--no-restart"] });
        Api = new MeshApi(_host.Http);
        List<ItemRow> items = SmallWorld.Items(20, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        await Api.PostItemsAsync(items);
        await Eventually.TrueAsync("the small world is in the index", () => Api.IsRetrievableAsync(items[^1].ItemId));
    }

    public async Task DisposeAsync()
    {
        if (_host is not null) await _host.DisposeAsync();
    }
}

/// <summary>Services killed one after the other: each feed is served without the stage that is gone, and says so.</summary>
public sealed class DeadServiceTests(MeshWithoutRestarts mesh) : IClassFixture<MeshWithoutRestarts>
{
    /// <summary>Gateway:RequestBudgetMs, and what the stages in memory, the sidecars and a busy machine may add.</summary>
    private static readonly TimeSpan Budget = TimeSpan.FromMilliseconds(1_500 + 1_000);

    [Fact]
    public async Task A_feed_is_served_within_its_budget_however_many_services_behind_it_are_dead()
    {
        const string User = "survivor";
        await Eventually.TrueAsync("the mesh is warm", async () =>
            await mesh.Api.FeedAsync(User, limit: 10) is { Degraded: [], Items.Length: 10 });

        var gone = new List<string>();
        foreach ((string app, string? stage) in new[]
        {
            (AppIds.IndexUpdater, null), (AppIds.Ranker, "ranker"), (AppIds.SequenceStore, "user-context"), (AppIds.Retrieval, "retrieval"),
        })
        {
            await KillAsync(app);
            if (stage is not null) gone.Add(stage);
            for (int i = 0; i < 3; i++) await AssertServedWithoutAsync(User, gone);
        }
    }

    [Fact]
    public async Task An_item_is_taken_while_nobody_is_there_to_index_it()
    {
        await KillAsync(AppIds.IndexUpdater);

        using HttpResponseMessage response = await mesh.Api.Http.PutAsync(
            "/v1/items/late-one", new StringContent("""{"authorId":"a","text":"comet","tags":["astronomy"]}""", Encoding.UTF8, "application/json"));

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
    }

    // The other test of this mesh may have done it already.
    private async Task KillAsync(string app)
    {
        if (mesh.Host.AppPid(app) != 0) mesh.Host.KillApp(app);
        await Eventually.TrueAsync($"{app} is gone", () => Task.FromResult(mesh.Host.AppPid(app) == 0));
    }

    private async Task AssertServedWithoutAsync(string user, List<string> stages)
    {
        long started = Stopwatch.GetTimestamp();
        Feed feed = await mesh.Api.FeedAsync(user, limit: 10);
        TimeSpan took = Stopwatch.GetElapsedTime(started);

        Assert.Equal(10, feed.Items.Length);
        Assert.Equal(stages.Order(), feed.Degraded.Select(degradation => degradation.Stage).Order());
        Assert.All(feed.Degraded, degradation => Assert.Matches("ERR_DIRECT_INVOKE|no answer within", degradation.Reason));
        Assert.DoesNotContain(feed.Degraded, degradation => degradation.Reason.Contains(user, StringComparison.Ordinal));
        Assert.True(took <= Budget, $"{took.TotalMilliseconds:0} ms without {string.Join(", ", stages)}");
    }
}
