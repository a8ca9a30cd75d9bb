using System.Diagnostics.Metrics;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Testing;

namespace Mesh.IndexUpdater.Tests;

public sealed class UpdaterServiceTests : IDisposable
{
    private static readonly long Now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
    private readonly UpdaterApp _app = new();
    private int _changes;

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task Items_events_pages_and_patches_of_the_topics_reach_the_row()
    {
        Assert.Equal(["SUCCESS", "SUCCESS"], await _app.DeliverAsync(Topics.Items, Upsert("a"), Upsert("b")));
        Task<string[]> likes = _app.DeliverAsync(Topics.Engagements, Engage("a", "like"), Engage("a", "like"), Engage("b", "save"));
        Task<string[]> page = _app.DeliverAsync(Topics.Impressions, new Impressions { EventId = NewId(), RequestId = NewId(), UserId = "u", TimeMs = Now, ItemIds = { "a", "b", "a" } });
        Assert.All((await likes).Concat(await page), status => Assert.Equal("SUCCESS", status));
        Assert.Equal(["SUCCESS"], await _app.DeliverAsync(Topics.Eligibility, new EligibilityChange
        {
            EventId = NewId(), TimeMs = Now, ItemId = "a", Fields = { "hidden" }, Eligibility = new Eligibility { Hidden = true },
        }));

        ItemRow row = await _app.SendAsync<ItemRow>(HttpMethod.Get, "/items/a");

        Assert.Equal(2f, row.Counters.Counts[ActionTaxonomy.Default.IndexOf("like")], 1e-3f);
        Assert.Equal(1f, row.Counters.Counts[ActionTaxonomy.Default.ImpressionIndex], 1e-3f);
        Assert.True(row.Eligibility.Hidden);
        Assert.Equal(4 * 64, row.Embedding.Length);
    }

    [Fact]
    public async Task What_can_never_be_applied_is_dropped_and_the_rest_of_its_delivery_is_done()
    {
        Assert.Equal(
            ["SUCCESS", "DROP", "DROP", "DROP", "DROP"],
            await _app.DeliverAsync(
                Topics.Items, Upsert("good"), Upsert("bad id"), new ItemChange { EventId = NewId(), TimeMs = Now }, new ItemChange { EventId = "no-ulid", TimeMs = Now, DeletedItemId = "a" },
                new ItemChange { EventId = NewId(), DeletedItemId = "a" }));
        Assert.Equal(["DROP", "SUCCESS"], await _app.DeliverAsync(Topics.Engagements, Engage("good", "levitate"), Engage("good", "like")));
        Assert.Equal(["DROP", "DROP"], await _app.DeliverAsync(
            Topics.Eligibility,
            new EligibilityChange { EventId = NewId(), TimeMs = Now, ItemId = "good", Fields = { "colour" } },
            new EligibilityChange { EventId = NewId(), TimeMs = Now, ItemId = "good" }));
    }

    [Fact]
    public async Task A_model_change_that_can_never_be_is_dropped_and_counted_and_a_good_one_shows_in_the_status()
    {
        long refused = 0;
        await _app.DeliverAsync(Topics.Items, Upsert("a"));
        var meters = _app.Services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                bool isOurs = instrument.Meter.Scope == meters; // other tests refuse models too
                if (isOurs && instrument.Name == "mesh.index_updater.model.refused") self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, count, _, _) => Interlocked.Add(ref refused, count));
        listener.Start();

        Assert.Equal(
            ["RETRY", "RETRY", "DROP", "DROP", "DROP", "DROP"],
            await _app.DeliverAsync(
                Topics.Models, Model("mini-00000000"), Model("mini-00000000", path: "not-there-yet"), Model("mini-00000000", path: "mini"),
                Model("mini-00000000", path: "../.."), Model(""), Model("hash64-1", Now + (48 * 3_600_000))));
        UpdaterStatus before = await StatusAsync();
        Assert.Equal(["SUCCESS"], await _app.DeliverAsync(Topics.Models, Model("hash64-1")));
        await Eventually.TrueAsync(async () => (await StatusAsync()).ModelVersion.StartsWith("hash64-1+rq", StringComparison.Ordinal), "the chosen model is live");

        Assert.Equal(3, refused); // the unknown ones; the others are faults of the message
        Assert.Equal((ModelVariant.MiniVersion, ""), (before.ModelVersion, before.NextModelVersion));
        Assert.Equal("", (await StatusAsync()).NextModelVersion);
    }

    [Fact]
    public async Task While_state_or_broker_is_away_events_are_asked_for_again_and_then_count_once()
    {
        ItemChange item = Upsert("a");
        _app.State.FailBefore = 1;
        Assert.Equal(["RETRY"], await _app.DeliverAsync(Topics.Items, item));
        _app.Publisher.FailBefore = 1;
        Assert.Equal(["RETRY"], await _app.DeliverAsync(Topics.Items, item));
        Assert.Equal(["SUCCESS"], await _app.DeliverAsync(Topics.Items, item));
        Engagement like = Engage("a", "like");
        _app.State.FailAfter = 1;
        Assert.Equal(["RETRY"], await _app.DeliverAsync(Topics.Engagements, like));
        Assert.Equal(["SUCCESS"], await _app.DeliverAsync(Topics.Engagements, like));

        Assert.Equal([1, 2], _app.Publisher.Deltas.Select(delta => (int)delta.Sequence));
        Assert.Equal(1f, (await _app.SendAsync<ItemRow>(HttpMethod.Get, "/items/a")).Counters.Counts[0], 1e-3f);
    }

    [Fact]
    public async Task A_snapshot_on_demand_is_the_latest_and_the_status_names_it()
    {
        Assert.Equal(HttpStatusCode.NotFound, (await _app.SendAsync(HttpMethod.Get, "/snapshots/latest?shard=0")).Status);
        await _app.DeliverAsync(Topics.Items, Upsert("a"), Upsert("b"));

        SnapshotManifest made = await _app.SendAsync<SnapshotManifest>(HttpMethod.Post, "/snapshots?shard=0&refit=true");

        Assert.Equal((2, 2ul), (made.Items, made.Sequence));
        Assert.Equal(made, await _app.SendAsync<SnapshotManifest>(HttpMethod.Get, "/snapshots/latest"));
        UpdaterStatus status = await _app.SendAsync<UpdaterStatus>(HttpMethod.Get, "/status");
        Assert.Equal((made.Version, 2ul, 3ul, 2L), (status.SnapshotVersion, status.SnapshotSequence, status.HeadSequence, status.Items));
        Assert.Equal(made.ModelVersion, status.ModelVersion);
        Assert.InRange(status.LastEventLagMs, 0, 60_000);
    }

    [Fact]
    public async Task A_snapshot_that_cannot_be_made_is_an_error_and_not_a_wait()
    {
        await _app.DeliverAsync(Topics.Items, Upsert("a"));
        _app.Blobs.FailAtWrite = 2;

        Assert.Equal(HttpStatusCode.InternalServerError, (await _app.SendAsync(HttpMethod.Post, "/snapshots")).Status);
    }

    [Fact]
    public async Task Deltas_are_read_in_pages()
    {
        await _app.DeliverAsync(Topics.Items, Upsert("a"), Upsert("b"), Upsert("c"));

        IndexDeltaBatch page = await _app.SendAsync<IndexDeltaBatch>(HttpMethod.Get, "/deltas?shard=0&after=1&max=1");

        Assert.Equal((2ul, 3ul), (page.FirstSequence, page.HeadSequence));
        Assert.Equal("b", Assert.Single(page.Deltas).Upserted.Item.ItemId);
    }

    [Fact]
    public async Task The_catalogue_is_every_live_item_once_as_it_is_now_whether_it_lies_in_the_snapshot_or_in_the_log()
    {
        Assert.Empty((await _app.SendAsync(HttpMethod.Get, "/catalogue?shard=0")).Body);
        await _app.DeliverAsync(Topics.Items, [.. Enumerable.Range(0, 300).Select(i => Upsert($"item-{i}", new string('x', 400)))]);
        Assert.Equal(300, (await CatalogueAsync()).Count);
        await _app.SendAsync<SnapshotManifest>(HttpMethod.Post, "/snapshots?shard=0");
        await _app.DeliverAsync(Topics.Items, Upsert("item-0", "changed"), Upsert("new", "first"), Upsert("new", "second"), Upsert("gone"));
        await _app.DeliverAsync(Topics.Items, Delete("item-1"), Delete("gone"), Upsert("item-0", "changed again"));

        Dictionary<string, Item> items = (await CatalogueAsync()).ToDictionary(item => item.ItemId);

        Assert.Equal(300, items.Count);
        Assert.Equal(("changed again", "second", 400), (items["item-0"].Text, items["new"].Text, items["item-299"].Text.Length));
        Assert.DoesNotContain("gone", items.Keys);
        Assert.DoesNotContain("item-1", items.Keys);
        Assert.Equal(HttpStatusCode.BadRequest, (await _app.SendAsync(HttpMethod.Get, "/catalogue?shard=9")).Status);
    }

    [Fact]
    public async Task A_catalogue_that_cannot_be_read_is_unavailable_with_the_file_named()
    {
        await _app.DeliverAsync(Topics.Items, Upsert("a"));
        SnapshotManifest made = await _app.SendAsync<SnapshotManifest>(HttpMethod.Post, "/snapshots?shard=0");
        string rows = made.Files.Single(file => file.Kind == "rows").Name;
        _app.Blobs.Damage(rows);

        (HttpStatusCode status, byte[] body) = await _app.SendAsync(HttpMethod.Get, "/catalogue");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains(rows, Encoding.UTF8.GetString(body), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bad_queries_are_refused_with_every_fault()
    {
        (HttpStatusCode status, byte[] body) = await _app.SendAsync(HttpMethod.Get, "/deltas?shard=7&after=-1&max=0");

        Assert.Equal(HttpStatusCode.BadRequest, status);
        using JsonDocument problem = JsonDocument.Parse(body);
        Assert.Equal(["after", "max", "shard"], problem.RootElement.GetProperty("errors").EnumerateObject().Select(error => error.Name).Order());
    }

    [Fact]
    public async Task An_unknown_item_is_not_found_with_a_reason()
    {
        (HttpStatusCode status, byte[] body) = await _app.SendAsync(HttpMethod.Get, "/items/nothing");

        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Contains("nothing", Encoding.UTF8.GetString(body), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Five_topics_are_subscribed_in_bulk_with_a_short_wait_for_items()
    {
        (_, byte[] body) = await _app.SendAsync(HttpMethod.Get, "/dapr/subscribe");
        using JsonDocument subscriptions = JsonDocument.Parse(body);
        var byTopic = subscriptions.RootElement.EnumerateArray().ToDictionary(subscription => subscription.GetProperty("topic").GetString()!);

        Assert.Equal([Topics.Eligibility, Topics.Engagements, Topics.Impressions, Topics.Items, Topics.Models], byTopic.Keys.Order(StringComparer.Ordinal));
        Assert.All(byTopic.Values, subscription => Assert.True(subscription.GetProperty("bulkSubscribe").GetProperty("enabled").GetBoolean()));
        Assert.InRange(byTopic[Topics.Items].GetProperty("bulkSubscribe").GetProperty("maxAwaitDurationMs").GetInt32(), 0, 20);
    }

    [Fact]
    public void Options_out_of_range_stop_the_service_at_start()
    {
        using var app = new UpdaterApp();

        Assert.ThrowsAny<Exception>(() => app.WithWebHostBuilder(builder => builder.UseSetting("IndexUpdater:CoalesceMs", "-5")).CreateClient());
    }

    private async Task<List<Item>> CatalogueAsync()
    {
        (HttpStatusCode status, byte[] body) = await _app.SendAsync(HttpMethod.Get, "/catalogue?shard=0");
        Assert.Equal(HttpStatusCode.OK, status);
        return [.. Encoding.UTF8.GetString(body).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(ProtobufJson.Parse<Item>)];
    }

    // Each later than the one before: of two changes in one millisecond the hash of the event id decides.
    private ItemChange Upsert(string id, string text = "some words") =>
        new() { EventId = NewId(), TimeMs = Now + _changes++, Upserted = new Item { ItemId = id, AuthorId = "author", Text = text, CreatedAtMs = Now } };

    private Task<UpdaterStatus> StatusAsync() => _app.SendAsync<UpdaterStatus>(HttpMethod.Get, "/status");

    private static ModelChange Model(string version, long? timeMs = null, string path = "") => new() { EventId = NewId(), TimeMs = timeMs ?? Now, Version = version, Path = path };

    private ItemChange Delete(string id) => new() { EventId = NewId(), TimeMs = Now + _changes++, DeletedItemId = id };

    private static Engagement Engage(string item, string action) =>
        new() { EventId = NewId(), UserId = "user", ItemId = item, Action = action, TimeMs = Now, ReceivedAtMs = Now };

    private static string NewId() => Ulid.NewUlid().ToString();
}
