using System.Net;
using Mesh.Contracts;

namespace Mesh.SequenceStore.Tests;

/// <summary>The service over HTTP: topics in, contexts out.</summary>
public sealed class SequenceServiceTests : IDisposable
{
    private const long NowMs = Engagements.EpochMs;

    private readonly SequenceApp _app = new();

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task Delivered_events_are_in_the_context_and_the_history_as_of_any_moment()
    {
        Engagement[] events = [.. Enumerable.Range(0, 700).Select(i => Engagements.Event(i, NowMs - 1_000 + i))];
        foreach (Engagement[] batch in events.Chunk(300)) Assert.All(await _app.DeliverAsync(Topics.Engagements, batch), status => Assert.Equal("SUCCESS", status));

        var now = await _app.GetAsync<UserContext>("users/u1/context");
        var before = await _app.GetAsync<UserContext>($"users/u1/context?asOf={NowMs - 900}&maxEvents=20");
        var history = await _app.GetAsync<UserHistory>($"users/u1/history?asOf={NowMs - 900}&limit=5");

        Assert.Equal((700, 512, "u1", NowMs), (now.EventsTotal, now.Sequence.ItemIds.Count, now.UserId, now.AsOfMs));
        Assert.Equal(events[^512..].Select(e => e.ItemId), now.Sequence.ItemIds);
        Assert.Equal(events[^512..].Select(e => e.Surface), now.Sequence.Surfaces.Select(index => now.Sequence.SurfaceNames[(int)index]));
        Assert.Equal(events[81..101].Select(e => e.TimeMs), before.Sequence.TimesMs);
        Assert.Equal(events[96..101].Reverse().Select(Engagements.AsStored), history.Events);
    }

    [Fact]
    public async Task A_delivery_again_is_a_success_that_changes_nothing()
    {
        Engagement[] events = [.. Enumerable.Range(0, 20).Select(i => Engagements.Event(i, NowMs - i))];
        await _app.DeliverAsync(Topics.Engagements, events);

        string[] again = await _app.DeliverAsync(Topics.Engagements, events);

        Assert.All(again, status => Assert.Equal("SUCCESS", status));
        Assert.Equal(20, (await _app.GetAsync<UserContext>("users/u1/context")).Version);
    }

    [Fact]
    public async Task What_can_never_be_stored_is_dropped_and_the_rest_of_the_delivery_stays()
    {
        Engagement Bad(int index, Action<Engagement> spoil)
        {
            Engagement engagement = Engagements.Event(index, NowMs);
            spoil(engagement);
            return engagement;
        }

        string[] statuses = await _app.DeliverAsync(
            Topics.Engagements,
            Engagements.Event(1, NowMs),
            Bad(2, e => e.Action = "applaud"),
            Bad(3, e => e.EventId = "not-a-ulid"),
            Bad(4, e => e.UserId = "a/b"),
            Bad(5, e => e.ItemId = ""),
            Bad(6, e => e.RequestId = "x"),
            Bad(7, e => e.Value = float.NaN),
            Bad(8, e => e.TimeMs = 0),
            Engagements.Event(9, NowMs, action: "impression"));

        Assert.Equal(["SUCCESS", "DROP", "DROP", "DROP", "DROP", "DROP", "DROP", "DROP", "SUCCESS"], statuses);
        Assert.Equal(2, (await _app.GetAsync<UserContext>("users/u1/context")).EventsTotal);
    }

    [Fact]
    public async Task A_user_who_cannot_be_written_is_retried_alone()
    {
        _app.State.BeforeGet = keys => keys.Any(key => key.StartsWith("u:unlucky:", StringComparison.Ordinal)) ? throw new IOException("disk") : Task.CompletedTask;

        string[] statuses = await _app.DeliverAsync(
            Topics.Engagements, Engagements.Event(1, NowMs, "u1"), Engagements.Event(2, NowMs, "unlucky"), Engagements.Event(3, NowMs, "u2"), Engagements.Event(4, NowMs, "unlucky"));

        Assert.Equal(["SUCCESS", "RETRY", "SUCCESS", "RETRY"], statuses);
        Assert.Equal(1, (await _app.GetAsync<UserContext>("users/u2/context")).EventsTotal);
    }

    [Fact]
    public async Task A_delivery_calls_each_users_actor_once()
    {
        Engagement[] events = [.. Enumerable.Range(0, 200).Select(i => Engagements.Event(i, NowMs, $"user-{i % 40}"))];

        await _app.DeliverAsync(Topics.Engagements, events);

        Assert.Equal(Enumerable.Range(0, 40).Select(i => $"user-{i}").Order(), _app.Actors.Calls.Order());
    }

    [Fact]
    public async Task Impressions_fill_the_served_ring_once()
    {
        var page = new Impressions { EventId = Engagements.EventId(1), RequestId = Engagements.EventId(1), UserId = "u1", TimeMs = NowMs, ItemIds = { "a", "b" } };
        Impressions bad = page.Clone();
        bad.ItemIds.Add("no good");

        string[] statuses = await _app.DeliverAsync(Topics.Impressions, page, page, bad);

        Assert.Equal(["SUCCESS", "SUCCESS", "DROP"], statuses);
        var context = await _app.GetAsync<UserContext>("users/u1/context");
        Assert.Equal([ItemHash.Compute("a"), ItemHash.Compute("b")], context.Served);
        Assert.Equal(0, context.EventsTotal);
    }

    [Fact]
    public async Task The_profile_comes_with_the_context()
    {
        foreach ((ProfileList list, string value) in new[] { (ProfileList.Follows, "a"), (ProfileList.Mutes, "b"), (ProfileList.Blocks, "c"), (ProfileList.MutedWords, "big spoiler") })
        {
            (HttpStatusCode status, _) = await _app.SendAsync(HttpMethod.Post, "users/u1/profile", new ProfileChange { List = list, Value = value });
            Assert.Equal(HttpStatusCode.NoContent, status);
        }

        SocialProfile profile = (await _app.GetAsync<UserContext>("users/u1/context")).Profile;

        Assert.Equal(new SocialProfile { Follows = { "a" }, Mutes = { "b" }, Blocks = { "c" }, MutedWords = { "big spoiler" } }, profile);
    }

    [Theory]
    [InlineData(ProfileList.Unspecified, "a", "list")]
    [InlineData(ProfileList.Follows, "not an id", "author id")]
    [InlineData(ProfileList.MutedWords, "", "1-100")]
    public async Task A_profile_change_with_a_fault_is_refused(ProfileList list, string value, string named)
    {
        (HttpStatusCode status, string body) = await _app.SendAsync(HttpMethod.Post, "users/u1/profile", new ProfileChange { List = list, Value = value });

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains(named, body, StringComparison.Ordinal);
        Assert.Empty(_app.State.Keys);
    }

    [Fact]
    public async Task Erasure_takes_log_profile_served_and_requests_and_late_events_do_not_bring_them_back()
    {
        await _app.DeliverAsync(Topics.Engagements, Engagements.Event(1, NowMs - 50, receivedAtMs: NowMs - 40));
        await _app.SendAsync(HttpMethod.Post, "users/u1/profile", new ProfileChange { List = ProfileList.Follows, Value = "a" });
        RequestLogEntry entry = new() { RequestId = Engagements.EventId(77), UserId = "u1", TimeMs = NowMs - 10 };
        await _app.SendAsync(HttpMethod.Post, "requests", entry);

        (HttpStatusCode first, _) = await _app.SendAsync(HttpMethod.Delete, "users/u1");
        (HttpStatusCode second, _) = await _app.SendAsync(HttpMethod.Delete, "users/u1");
        string[] late = await _app.DeliverAsync(Topics.Engagements, Engagements.Event(2, NowMs - 5, receivedAtMs: NowMs - 1));

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NoContent), (first, second));
        Assert.Equal(["SUCCESS"], late);
        Assert.Equal(["u:u1:h"], _app.State.Keys);
        Assert.Equal(HttpStatusCode.NotFound, (await _app.SendAsync(HttpMethod.Get, $"requests/{entry.RequestId}")).Status);
    }

    [Fact]
    public async Task A_logged_request_is_found_by_its_id()
    {
        var entry = new RequestLogEntry
        {
            RequestId = Engagements.EventId(5), UserId = "u1", TimeMs = NowMs, Surface = "home", ModelVersion = "m", SequenceVersion = 3, Arms = { ["ranker"] = "heuristic" },
            Candidates = { new LoggedCandidate { ItemId = "a", Score = 1.5f, Served = true, Probabilities = { 0.1f }, Sources = { "trending" } } },
        };

        (HttpStatusCode posted, _) = await _app.SendAsync(HttpMethod.Post, "requests", entry);
        (HttpStatusCode again, _) = await _app.SendAsync(HttpMethod.Post, "requests", entry);

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NoContent), (posted, again));
        Assert.Equal(entry, await _app.GetAsync<RequestLogEntry>($"requests/{entry.RequestId}"));
    }

    [Fact]
    public async Task Every_fault_of_a_request_is_named_at_once()
    {
        (HttpStatusCode context, string contextBody) = await _app.SendAsync(HttpMethod.Get, "users/no%20good/context?asOf=yesterday&maxEvents=4097");
        (HttpStatusCode entry, string entryBody) = await _app.SendAsync(HttpMethod.Post, "requests", new RequestLogEntry { RequestId = "x" });

        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest), (context, entry));
        foreach (string named in new[] { "user", "yesterday", "4097" }) Assert.Contains(named, contextBody, StringComparison.Ordinal);
        foreach (string named in new[] { "user", "requestId" }) Assert.Contains(named, entryBody, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_of_another_type_is_refused_as_such()
    {
        using HttpClient client = _app.CreateClient();
        using var body = new StringContent("{}", System.Text.Encoding.UTF8, "application/json");

        using HttpResponseMessage response = await client.PostAsync("requests", body);

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
    }

    [Fact]
    public async Task The_sidecar_is_told_of_both_topics_in_bulk_and_of_the_actor()
    {
        using HttpClient client = _app.CreateClient();

        string subscriptions = await client.GetStringAsync("dapr/subscribe");
        string config = await client.GetStringAsync("dapr/config");

        Assert.Contains("\"engagements\"", subscriptions, StringComparison.Ordinal);
        Assert.Contains("\"impressions\"", subscriptions, StringComparison.Ordinal);
        Assert.Contains("bulkSubscribe", subscriptions, StringComparison.Ordinal);
        Assert.Contains("UserSequence", config, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Status_and_metrics_count_what_became_durable()
    {
        Engagement[] events = [.. Enumerable.Range(0, 5).Select(i => Engagements.Event(i, NowMs, receivedAtMs: NowMs - 120))];
        await _app.DeliverAsync(Topics.Engagements, events);
        await _app.DeliverAsync(Topics.Engagements, events);
        using HttpClient client = _app.CreateClient();

        Assert.Equal("""{"eventsAppended":5,"duplicates":5,"lastEventLagMs":120}""", await client.GetStringAsync("status"));
        Assert.Contains("mesh_sequence_store_events_appended", await client.GetStringAsync("metrics"), StringComparison.Ordinal);
    }
}
