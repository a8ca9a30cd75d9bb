using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>One mesh with a small world in it, shared by the tests below: each uses users and items of its own.</summary>
public sealed class SmallWorldMesh : IAsyncLifetime
{
    private MeshHost? _host;

    public MeshApi Api { get; private set; } = null!;

    public MeshHost Host => _host!;

    public long Now { get; } = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public async Task InitializeAsync()
    {
        _host = await MeshHost.StartAsync();
        Api = new MeshApi(_host.Http);
        List<ItemRow> items = SmallWorld.Items(40, Now);
        await Api.PostItemsAsync(items);
        await Eventually.TrueAsync("the small world is in the index", () => Api.IsRetrievableAsync(items[^1].ItemId));
    }

    public async Task DisposeAsync()
    {
        if (_host is not null) await _host.DisposeAsync();
    }

    /// <summary>Likes the first items of a topic, and waits until the log shows it.</summary>
    public async Task LikeAsync(string user, string topic, int count)
    {
        EventRow[] likes = [.. Enumerable.Range(0, count).Select(i => SmallWorld.Event(user, $"{topic}-{i}", "like", Now - 10_000 + i))];
        await Api.PostEventsAsync(likes);
        await Eventually.TrueAsync($"{user}'s likes are in the log", async () => (await Api.HistoryAsync(user)).Events.Length >= count);
    }
}

public sealed class FeedTests(SmallWorldMesh mesh) : IClassFixture<SmallWorldMesh>
{
    private static readonly TimeSpan Promise = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task A_user_nobody_has_heard_of_gets_a_feed()
    {
        Feed feed = await mesh.Api.FeedAsync("stranger", limit: 10);

        Assert.NotEmpty(feed.Items);
        Assert.Empty(feed.Degraded);
        Assert.Equal(feed.Items.Select(item => item.Score).OrderDescending(), feed.Items.Select(item => item.Score));
    }

    [Fact]
    public async Task Feeds_follow_what_each_user_likes()
    {
        await mesh.LikeAsync("cook", "cooking", 8);
        await mesh.LikeAsync("fan", "football", 8);

        Feed cook = await mesh.Api.FeedAsync("cook", limit: 10);
        Feed fan = await mesh.Api.FeedAsync("fan", limit: 10);

        Assert.NotEqual(cook.ItemIds, fan.ItemIds);
        Assert.True(Share(cook, "cooking") > Share(fan, "cooking"), $"cooking: {Share(cook, "cooking")} of the cook's feed, {Share(fan, "cooking")} of the fan's");
        Assert.True(Share(fan, "football") > Share(cook, "football"));
    }

    [Fact]
    public async Task What_a_user_has_engaged_with_never_comes_back()
    {
        await mesh.LikeAsync("seen", "astronomy", 30);

        Feed feed = await mesh.Api.FeedAsync("seen", limit: 200);

        Assert.NotEmpty(feed.Items);
        Assert.DoesNotContain(feed.ItemIds, id => Enumerable.Range(0, 30).Any(i => id == $"astronomy-{i}"));
    }

    [Fact]
    public async Task Mutes_blocks_and_muted_words_hold()
    {
        await mesh.Api.MuteAsync("quiet", SmallWorld.Author("cooking", 0));
        await mesh.Api.BlockAsync("quiet", SmallWorld.Author("football", 1));
        await mesh.Api.MuteWordAsync("quiet", "planet");

        Feed feed = await mesh.Api.FeedAsync("quiet", limit: 200);

        HashSet<string> muted = [.. SmallWorld.Items(40, mesh.Now).Where(item => item.Text.Contains("planet", StringComparison.Ordinal)).Select(item => item.ItemId)];
        Assert.NotEmpty(muted);
        Assert.NotEmpty(feed.Items);
        Assert.DoesNotContain(feed.Items, item => item.AuthorId == SmallWorld.Author("cooking", 0));
        Assert.DoesNotContain(feed.Items, item => item.AuthorId == SmallWorld.Author("football", 1));
        Assert.DoesNotContain(feed.ItemIds, muted.Contains);
    }

    [Fact]
    public async Task A_followed_author_is_in_network()
    {
        await mesh.Api.FollowAsync("follower", SmallWorld.Author("gardening", 2));

        Feed feed = await mesh.Api.FeedAsync("follower", limit: 50);

        Assert.Contains(feed.Items, item => item.InNetwork && item.AuthorId == SmallWorld.Author("gardening", 2) && item.Sources.Contains("in-network"));
        Assert.DoesNotContain(feed.Items, item => item.InNetwork && item.AuthorId != SmallWorld.Author("gardening", 2));
    }

    [Fact]
    public async Task The_feed_explains_itself()
    {
        await mesh.LikeAsync("curious", "cooking", 5);

        Feed feed = await mesh.Api.FeedAsync("curious", limit: 5, explain: true);

        JsonElement explain = Assert.NotNull(feed.Items[0].Explain);
        JsonElement probabilities = explain.GetProperty("probabilities");
        Assert.Equal(14, probabilities.EnumerateObject().Count());
        Assert.All(probabilities.EnumerateObject(), head => Assert.InRange(head.Value.GetDouble(), 0, 1));
        Assert.NotEmpty(feed.ModelVersion);
        Assert.NotEmpty(feed.Arms);
        Assert.True(Ulid.TryParse(feed.RequestId, out _));
    }

    [Fact]
    public async Task A_second_page_repeats_nothing_of_the_first()
    {
        Feed first = await mesh.Api.FeedAsync("pager", limit: 8);
        Feed second = await mesh.Api.FeedAsync("pager", limit: 8, cursor: first.NextCursor);

        Assert.NotEmpty(second.Items);
        Assert.Empty(first.ItemIds.Intersect(second.ItemIds));
    }

    [Fact]
    public async Task An_item_published_now_is_in_a_followers_feed_within_two_seconds()
    {
        await mesh.Api.FollowAsync("reader", "columnist");
        await Eventually.WithinAsync(Promise, "published to in the follower's feed", async trial =>
        {
            string id = $"column-{trial}";
            await mesh.Api.PutItemAsync(new ItemRow(id, "columnist", "morning column", ["column"]));
            return await Eventually.TrueAsync($"{id} is in the feed", async () =>
                (await mesh.Api.FeedAsync("reader", limit: 200)).Items.Any(item => item.ItemId == id && item.InNetwork));
        });
    }

    [Fact]
    public async Task An_item_published_now_is_retrievable_out_of_network_within_two_seconds()
    {
        await mesh.LikeAsync("stargazer", "astronomy", 6);
        await Eventually.WithinAsync(Promise, "published to retrieved for a stranger who likes the topic", async trial =>
        {
            string id = $"comet-{trial}";
            await mesh.Api.PutItemAsync(new ItemRow(id, $"observatory-{trial}", "comet orbit telescope galaxy nebula planet", ["astronomy"]));
            return await Eventually.TrueAsync($"{id} is in the feed", async () =>
                (await mesh.Api.FeedAsync("stargazer", limit: 200)).Items.Any(item => item.ItemId == id && !item.InNetwork));
        });
    }

    [Fact]
    public async Task An_event_changes_the_next_feed_within_two_seconds()
    {
        await Eventually.WithinAsync(Promise, "liked to gone from the feed", async trial =>
        {
            string user = $"active-{trial}";
            Feed before = await mesh.Api.FeedAsync(user, limit: 20);
            string top = before.Items[0].ItemId;
            await mesh.Api.PostEventsAsync([SmallWorld.Event(user, top, "like", DateTimeOffset.UtcNow.ToUnixTimeMilliseconds())]);
            TimeSpan took = await Eventually.TrueAsync("the liked item is gone", async () => !(await mesh.Api.FeedAsync(user, limit: 20)).ItemIds.Contains(top));
            Assert.NotEqual(before.ItemIds, (await mesh.Api.FeedAsync(user, limit: 20)).ItemIds);
            return took;
        });
    }

    [Fact]
    public async Task Deleted_and_hidden_items_leave_the_feed()
    {
        await mesh.Api.FollowAsync("editor", "desk");
        foreach (string id in new[] { "desk-deleted", "desk-hidden", "desk-kept" }) await mesh.Api.PutItemAsync(new ItemRow(id, "desk", "desk news", ["desk"]));
        await Eventually.TrueAsync("all three are in the feed", async () =>
            (await mesh.Api.FeedAsync("editor", limit: 200)).Items.Count(item => item.AuthorId == "desk") == 3);

        await mesh.Api.DeleteItemAsync("desk-deleted");
        await mesh.Api.HideItemAsync("desk-hidden");

        await Eventually.TrueAsync("only the kept one is left", async () =>
            (await mesh.Api.FeedAsync("editor", limit: 200)).Items.Where(item => item.AuthorId == "desk").Select(item => item.ItemId).SequenceEqual(["desk-kept"]));
        Assert.False(await mesh.Api.IsRetrievableAsync("desk-deleted"));
    }

    [Fact]
    public async Task Erasing_a_user_removes_the_log_and_may_be_done_twice()
    {
        await mesh.LikeAsync("leaver", "football", 5);
        await mesh.Api.FollowAsync("leaver", "columnist");

        await mesh.Api.EraseAsync("leaver");
        await mesh.Api.EraseAsync("leaver");

        Assert.Empty((await mesh.Api.HistoryAsync("leaver")).Events);
        Assert.DoesNotContain((await mesh.Api.FeedAsync("leaver", limit: 100)).Items, item => item.InNetwork);
    }

    [Fact]
    public async Task History_is_exact_as_of_a_moment()
    {
        EventRow[] events = [.. Enumerable.Range(0, 20).Select(i => SmallWorld.Event("historian", $"cooking-{i}", "click", mesh.Now - 100_000 + (i * 1_000)))];
        await mesh.Api.PostEventsAsync([.. events.Reverse(), .. events.Take(5)]);
        await Eventually.TrueAsync("all events are in the log", async () => (await mesh.Api.HistoryAsync("historian")).Events.Length == 20);

        History asOf = await mesh.Api.HistoryAsync("historian", asOf: events[9].Time);

        Assert.Equal(events.Take(10).Reverse().Select(row => row.EventId), asOf.Events.Select(row => row.EventId));
    }

    [Fact]
    public async Task One_bad_row_never_rejects_its_batch_and_every_fault_is_named()
    {
        using HttpResponseMessage response = await mesh.Api.Http.PostAsync("/v1/events", JsonContent.Create(new
        {
            events = new object[]
            {
                new { userId = "mixed", itemId = "cooking-1", action = "like" },
                new { userId = "", itemId = new string('x', 200), action = "dance" },
                "not an object",
            },
        }));
        BatchAnswer answer = (await response.Content.ReadFromJsonAsync<BatchAnswer>())!;

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal(1, answer.Accepted);
        Assert.Equal([1, 2], answer.Rejected.Select(row => row.Index));
        string faults = answer.Rejected[0].Errors.ToString();
        Assert.All(["userId", "itemId", "action"], field => Assert.Contains(field, faults, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("POST", "/v1/events", "{\"events\":[", 400)]
    [InlineData("POST", "/v1/events", "[]", 400)]
    [InlineData("GET", "/v1/users/u/feed?limit=0", null, 400)]
    [InlineData("GET", "/v1/users/u/feed?limit=many", null, 400)]
    [InlineData("GET", "/v1/users/u/feed?cursor=garbage", null, 400)]
    [InlineData("GET", "/v1/items/nobody-made-this/similar", null, 404)]
    [InlineData("PATCH", "/v1/items/nobody-made-this/eligibility", "{\"hidden\":true}", 404)]
    [InlineData("GET", "/v1/nothing-here", null, 404)]
    public async Task Bad_input_gets_problem_details(string method, string path, string? body, int status)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body is not null) request.Content = new StringContent(body, System.Text.Encoding.UTF8, "application/json");

        using HttpResponseMessage response = await mesh.Api.Http.SendAsync(request);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
    }

    [Fact]
    public async Task The_system_page_names_every_service_and_the_index()
    {
        string system = (await mesh.Api.SystemAsync()).ToString();

        Assert.All(["gateway", "sequence-store", "retrieval", "ranker", "index-updater"], service => Assert.Contains(service, system, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Swagger_lists_the_public_api_only()
    {
        JsonElement document = await mesh.Api.Http.GetFromJsonAsync<JsonElement>("/swagger/v1/swagger.json");

        string[] paths = [.. document.GetProperty("paths").EnumerateObject().Select(path => path.Name)];
        Assert.Contains("/v1/users/{userId}/feed", paths);
        Assert.All(paths, path => Assert.StartsWith("/v1/", path, StringComparison.Ordinal));
    }

    private static double Share(Feed feed, string topic) =>
        feed.ItemIds.Count(id => id.StartsWith(topic, StringComparison.Ordinal)) / (double)feed.Items.Length;
}
