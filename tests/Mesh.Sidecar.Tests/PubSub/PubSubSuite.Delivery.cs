using System.Globalization;
using System.Text.Json;
using Dapr;
using Dapr.AspNetCore;
using Dapr.Client;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>What becomes of deliveries: verdicts, retries, dead letters, bulk, routing, groups, an app that goes away.</summary>
public abstract partial class PubSubSuite
{
    private static readonly object DeadSubscription = Subscriptions.To("dead", "graveyard");

    private static object WithDeadLetters(string topic, string route) => new { pubsubname = "pubsub", topic, route, deadLetterTopic = "dead" };

    private static object Bulk(string topic, string route, int max = 100, int awaitMs = 100, string? dead = null) => new
    {
        pubsubname = "pubsub", topic, route, deadLetterTopic = dead ?? "",
        bulkSubscribe = new { enabled = true, maxMessagesCount = max, maxAwaitDurationMs = awaitMs },
    };

    private static string Resiliency(string retry) => $"""
        apiVersion: dapr.io/v1alpha1
        kind: Resiliency
        metadata:
          name: r
        spec:
          policies:
            retries:
              quick:
                {retry}
          targets:
            components:
              pubsub:
                inbound:
                  retry: quick
        """;

    [Theory]
    [InlineData(200, """{"status":"RETRY"}""")]
    [InlineData(200, """{"status":"WHATEVER"}""")]
    [InlineData(500, "")]
    [InlineData(429, "")]
    public async Task A_failed_delivery_without_dead_letter_topic_is_repeated(int status, string body)
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        app.Answers(_ => app.Inbox.Items.Count < 2 ? (status, body) : (200, ""));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", "1");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(3);

        Assert.Single(delivered.Select(message => message.Body.GetProperty("id").GetString()).Distinct());
    }

    [Theory]
    [InlineData(200, "")]
    [InlineData(204, "")]
    [InlineData(200, "not json")]
    [InlineData(200, "{}")]
    [InlineData(200, """{"success":true}""")]
    [InlineData(200, """{"status":"SUCCESS"}""")]
    [InlineData(200, """{"status":"DROP"}""")]
    [InlineData(404, "")]
    public async Task Each_of_these_answers_is_final(int status, string body)
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        app.Answers(delivered => delivered.Data.GetInt32() == 1 ? (status, status == 204 ? "" : body) : (200, ""));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", "1");
        await app.Inbox.WaitForAsync(1);
        await Task.Delay(150); // three redelivery intervals, in which nothing may come
        await PublishAsync(sidecar, "orders", "2");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(2);

        Assert.Equal([1, 2], delivered.Select(message => message.Data.GetInt32()));
    }

    [Fact]
    public async Task A_message_that_fails_does_not_hold_up_those_behind_it()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in")).Answers(delivered => delivered.Data.GetInt32() == 1 ? (500, "") : (200, ""));
        await using SidecarHarness sidecar = await StartAsync(app, ("redeliverInterval", "10m"));

        for (int i = 1; i <= 3; i++) await PublishAsync(sidecar, "orders", i.ToString(CultureInfo.InvariantCulture));
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(3);

        Assert.Equal([1, 2, 3], delivered.Select(message => message.Data.GetInt32()));
    }

    [Theory]
    [InlineData(500, "")]
    [InlineData(200, """{"status":"RETRY"}""")]
    [InlineData(200, """{"status":"DROP"}""")]
    [InlineData(404, "")]
    public async Task Without_a_policy_an_undelivered_message_goes_to_the_dead_letter_topic_at_once(int status, string body)
    {
        SubscriberApp app = SubscriberApp.To(WithDeadLetters("orders", "in"), DeadSubscription)
            .Answers(delivered => delivered.Path == "/in" ? (status, body) : (200, ""));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", """{"n":1}""");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(2);

        Assert.Equal(["/in", "/graveyard"], delivered.Select(message => message.Path));
        Assert.Equal(delivered[0].Body.GetProperty("id").GetString(), delivered[1].Body.GetProperty("id").GetString());
        Assert.Equal(1, delivered[1].Data.GetProperty("n").GetInt32());
    }

    [Fact]
    public async Task With_a_retry_policy_the_dead_letter_topic_comes_after_the_last_retry()
    {
        SubscriberApp app = SubscriberApp.To(WithDeadLetters("orders", "in"), DeadSubscription)
            .Answers(delivered => delivered.Path == "/in" ? (500, "") : (200, ""));
        Dictionary<string, string> files = PubSub();
        files["resiliency.yaml"] = Resiliency("{policy: constant, duration: 10ms, maxRetries: 3}");
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await PublishAsync(sidecar, "orders", "1");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(5);

        Assert.Equal(["/in", "/in", "/in", "/in", "/graveyard"], delivered.Select(message => message.Path));
    }

    [Fact]
    public async Task A_retry_policy_is_over_as_soon_as_a_delivery_succeeds()
    {
        SubscriberApp app = SubscriberApp.To(WithDeadLetters("orders", "in"), DeadSubscription);
        app.Answers(_ => app.Inbox.Items.Count < 2 ? (500, "") : (200, ""));
        Dictionary<string, string> files = PubSub();
        files["resiliency.yaml"] = Resiliency("{policy: constant, duration: 10ms, maxRetries: 5}");
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await PublishAsync(sidecar, "orders", "1");
        await app.Inbox.WaitForAsync(3);
        await PublishAsync(sidecar, "orders", "2");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(4);

        Assert.Equal([1, 1, 1, 2], delivered.Select(message => message.Data.GetInt32()));
    }

    [Fact]
    public async Task A_bulk_is_one_post_and_each_entry_gets_what_its_status_says()
    {
        var verdicts = new Dictionary<int, string> { [1] = "SUCCESS", [2] = "DROP", [3] = "RETRY" }; // none for 4
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 4, awaitMs: 5000, dead: "dead"), DeadSubscription).Answers(delivered =>
        {
            if (delivered.Path != "/in") return (200, "");
            var statuses = delivered.Body.GetProperty("entries").EnumerateArray()
                .Where(entry => verdicts.ContainsKey(Number(entry)))
                .Select(entry => new { entryId = entry.GetProperty("entryId").GetString(), status = verdicts[Number(entry)] });
            return (200, JsonSerializer.Serialize(new { statuses }));
        });
        await using SidecarHarness sidecar = await StartAsync(app);

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3, 4]);
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(4);

        JsonElement bulk = delivered[0].Body;
        Assert.StartsWith("application/json", delivered[0].ContentType, StringComparison.Ordinal);
        Assert.Equal("com.dapr.event.sent.bulk", bulk.GetProperty("type").GetString());
        Assert.Equal("orders", bulk.GetProperty("topic").GetString());
        Assert.Equal("pubsub", bulk.GetProperty("pubsubname").GetString());
        Assert.Equal([1, 2, 3, 4], bulk.GetProperty("entries").EnumerateArray().Select(Number));
        Assert.All(bulk.GetProperty("entries").EnumerateArray(), entry => Assert.Equal("application/cloudevents+json", entry.GetProperty("contentType").GetString()));
        Assert.Equal(["/graveyard", "/graveyard", "/graveyard"], delivered.Skip(1).Select(message => message.Path));
        Assert.Equal([2, 3, 4], delivered.Skip(1).Select(message => message.Data.GetInt32()).Order());
    }

    [Fact]
    public async Task Retries_of_a_bulk_hold_only_the_entries_that_failed()
    {
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 3, awaitMs: 5000));
        app.Answers(delivered => (200, JsonSerializer.Serialize(new
        {
            statuses = delivered.Body.GetProperty("entries").EnumerateArray().Select(entry => new
            {
                entryId = entry.GetProperty("entryId").GetString(),
                status = Number(entry) == 2 && app.Inbox.Items.Count == 0 ? "RETRY" : "SUCCESS",
            }),
        })));
        Dictionary<string, string> files = PubSub();
        files["resiliency.yaml"] = Resiliency("{policy: constant, duration: 10ms, maxRetries: 5}");
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3]);
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(2);

        Assert.Equal([1, 2, 3], delivered[0].Body.GetProperty("entries").EnumerateArray().Select(Number));
        Assert.Equal([2], delivered[1].Body.GetProperty("entries").EnumerateArray().Select(Number));
    }

    [Fact]
    public async Task An_entry_that_the_app_wants_again_does_not_hold_up_what_is_published_behind_it()
    {
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 10, awaitMs: 1, dead: "dead"), DeadSubscription);
        app.Answers(delivered => Taken(delivered, number => number != 1));
        Dictionary<string, string> files = PubSub(("redeliverInterval", "10m"));
        files["resiliency.yaml"] = Resiliency("{policy: exponential, maxInterval: 15s, maxRetries: 20}");
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await PublishAsync(sidecar, "orders", "1");
        await app.Inbox.WaitForAsync(1);
        await PublishAsync(sidecar, "orders", "2");
        await WaitUntilAsync(() => Entries(app, "/in").Contains(2));

        Assert.DoesNotContain(app.Inbox.Items, delivered => delivered.Path == "/graveyard");
    }

    [Fact]
    public async Task An_entry_that_the_app_always_wants_again_is_dead_lettered_in_the_end()
    {
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 10, awaitMs: 1, dead: "dead"), DeadSubscription);
        app.Answers(delivered => Taken(delivered, number => number != 1));
        Dictionary<string, string> files = PubSub(("redeliverInterval", "10ms"), ("maxDeliveryAttempts", "2"));
        files["resiliency.yaml"] = Resiliency("{policy: constant, duration: 100ms, maxRetries: -1}");
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await PublishAsync(sidecar, "orders", "1");
        await WaitUntilAsync(() => app.Inbox.Items.Any(delivered => delivered.Path == "/graveyard"));

        Assert.Equal(1, Assert.Single(app.Inbox.Items, delivered => delivered.Path == "/graveyard").Data.GetInt32());
    }

    [Fact]
    public async Task An_app_that_is_killed_again_and_again_over_a_bulk_gets_all_of_it_once_it_lives()
    {
        int posts = 0;
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 4, awaitMs: 5000, dead: "dead"), DeadSubscription);
        app.Answers(Taken);
        app.Dies = delivered => delivered.Path == "/in" && Interlocked.Increment(ref posts) <= 4;
        await using SidecarHarness sidecar = await StartAsync(app);

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3, 4]);
        await WaitUntilAsync(() => Entries(app, "/in").Count() + app.Inbox.Items.Count(delivered => delivered.Path == "/graveyard") >= 4);

        Assert.Equal([1, 2, 3, 4], Entries(app, "/in"));
    }

    [Fact]
    public async Task Of_a_bulk_that_kills_the_app_only_the_message_that_does_it_is_given_up()
    {
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 5, awaitMs: 5000, dead: "dead"), DeadSubscription);
        app.Answers(Taken);
        app.Dies = delivered => delivered.Path == "/in" && delivered.Body.GetProperty("entries").EnumerateArray().Any(entry => Number(entry) == 3);
        await using SidecarHarness sidecar = await StartAsync(app);

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3, 4, 5]);
        await WaitUntilAsync(() => app.Inbox.Items.Any(delivered => delivered.Path == "/graveyard"));

        Assert.Equal([1, 2, 4, 5], Entries(app, "/in"));
        Assert.Equal(3, Assert.Single(app.Inbox.Items, delivered => delivered.Path == "/graveyard").Data.GetInt32());
    }

    private static (int Status, string Body) Taken(Delivered delivered) => Taken(delivered, _ => true);

    private static (int Status, string Body) Taken(Delivered delivered, Predicate<int> takes) => delivered.Path != "/in" ? (200, "") : (200, JsonSerializer.Serialize(new
    {
        statuses = delivered.Body.GetProperty("entries").EnumerateArray()
            .Select(entry => new { entryId = entry.GetProperty("entryId").GetString(), status = takes(Number(entry)) ? "SUCCESS" : "RETRY" }),
    }));

    private static IEnumerable<int> Entries(SubscriberApp app, string path) =>
        app.Inbox.Items.Where(delivered => delivered.Path == path).SelectMany(delivered => delivered.Body.GetProperty("entries").EnumerateArray().Select(Number));

    [Fact]
    public async Task A_bulk_that_does_not_fill_up_is_sent_when_its_wait_is_over()
    {
        SubscriberApp app = SubscriberApp.To(Bulk("orders", "in", max: 100, awaitMs: 50)).Answers(_ => (200, """{"statuses":[]}"""));
        await using SidecarHarness sidecar = await StartAsync(app, ("redeliverInterval", "10m"));

        await PublishAsync(sidecar, "orders", "7");
        Delivered delivered = (await app.Inbox.WaitForAsync(1))[0];

        Assert.Equal(7, Number(delivered.Body.GetProperty("entries")[0]));
    }

    [Fact]
    public async Task The_sdk_publishes_and_its_typed_handlers_receive_one_by_one_and_in_bulk()
    {
        var single = new Inbox<Order>();
        var bulk = new Inbox<int>();
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(PubSub(), app =>
        {
            app.UseCloudEvents();
            app.MapSubscribeHandler();
            app.MapPost("/single", (Order order) => { single.Add(order); }).WithTopic("pubsub", "single");
            app.MapPost("/bulk", (BulkSubscribeMessage<BulkMessageModel<Order>> message) =>
            {
                foreach (var entry in message.Entries) bulk.Add(entry.Event.Data.Number);
                return new BulkSubscribeAppResponse([.. message.Entries.Select(entry => new BulkSubscribeAppResponseEntry(entry.EntryId, BulkSubscribeAppResponseStatus.SUCCESS))]);
            }).WithTopic(new TopicOptions { PubsubName = "pubsub", Name = "bulk" })
              .WithBulkSubscribe(new BulkSubscribeTopicOptions { TopicName = "bulk", MaxMessagesCount = 10, MaxAwaitDurationMs = 50 });
        });

        await sidecar.Dapr.PublishEventAsync("pubsub", "single", new Order(5, "five"));
        BulkPublishResponse<Order> published = await sidecar.Dapr.BulkPublishEventAsync("pubsub", "bulk", [.. Enumerable.Range(0, 25).Select(n => new Order(n, "x"))]);

        Assert.Empty(published.FailedEntries);
        Assert.Equal(new Order(5, "five"), (await single.WaitForAsync(1))[0]);
        Assert.Equal(Enumerable.Range(0, 25), await bulk.WaitForAsync(25));
    }

    [Fact]
    public async Task Rules_route_by_content_and_what_matches_none_goes_to_the_dead_letters()
    {
        SubscriberApp app = SubscriberApp.To(
            new
            {
                pubsubname = "pubsub", topic = "inventory", deadLetterTopic = "dead",
                routes = new
                {
                    rules = new object[]
                    {
                        new { match = """event.type == "widget" """, path = "/widgets" },
                        new { match = "has(event.data.important) && event.data.important == true", path = "/important" },
                        new { match = """event.type == "deposit" && int(event.data.amount) > 10000""", path = "/deposits" },
                    },
                },
            },
            DeadSubscription);
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "inventory", "{}", query: "?metadata.cloudevent.type=widget");
        await PublishAsync(sidecar, "inventory", """{"important":true}""");
        await PublishAsync(sidecar, "inventory", """{"amount":20000}""", query: "?metadata.cloudevent.type=deposit");
        await PublishAsync(sidecar, "inventory", """{"amount":5}""", query: "?metadata.cloudevent.type=deposit");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(4);

        Assert.Equal(["/deposits", "/graveyard", "/important", "/widgets"], delivered.Select(message => message.Path).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_subscription_that_cannot_be_used_does_not_take_the_others_with_it()
    {
        SubscriberApp app = SubscriberApp.To(
            new { pubsubname = "pubsub", topic = "bad", routes = new { rules = new[] { new { match = "event.type ==", path = "/x" } } } },
            Subscriptions.To("", "in"), new { pubsubname = "other", topic = "t", route = "in" }, Subscriptions.To("good", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "good", "1");

        Assert.Equal("/in", (await app.Inbox.WaitForAsync(1))[0].Path);
    }

    [Fact]
    public async Task Declared_subscriptions_of_both_versions_deliver_to_the_apps_in_their_scopes()
    {
        SubscriberApp app = SubscriberApp.To();
        Dictionary<string, string> files = PubSub();
        files["first.yaml"] = """
            apiVersion: dapr.io/v1alpha1
            kind: Subscription
            metadata: {name: first}
            spec: {pubsubname: pubsub, topic: one, route: /one}
            scopes: [subscriber]
            """;
        files["second.yaml"] = """
            apiVersion: dapr.io/v2alpha1
            kind: Subscription
            metadata: {name: second}
            spec:
              pubsubname: pubsub
              topic: two
              routes:
                rules:
                  - match: event.type == "special"
                    path: /special
                default: /two
            ---
            apiVersion: dapr.io/v2alpha1
            kind: Subscription
            metadata: {name: foreign}
            spec: {pubsubname: pubsub, topic: one, routes: {default: /wrong}}
            scopes: [another]
            """;
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(files, app.Map, appId: "subscriber");

        await PublishAsync(sidecar, "one", "1");
        await PublishAsync(sidecar, "two", "2");
        await PublishAsync(sidecar, "two", "3", query: "?metadata.cloudevent.type=special");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(3);

        Assert.Equal(["/one", "/special", "/two"], delivered.Select(message => message.Path).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Every_app_gets_every_message_and_replicas_of_one_app_share_them()
    {
        SubscriberApp first = SubscriberApp.To(Subscriptions.To("orders", "in"));
        SubscriberApp other = SubscriberApp.To(Subscriptions.To("orders", "in"));
        SubscriberApp replica = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(first);
        await sidecar.AddAsync("other", other.Map);
        await sidecar.AddAsync("other", replica.Map);

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [.. Enumerable.Range(0, 200)]);
        IReadOnlyList<Delivered> all = await first.Inbox.WaitForAsync(200);
        await WaitUntilAsync(() => other.Inbox.Items.Count + replica.Inbox.Items.Count >= 200);

        Assert.Equal(Enumerable.Range(0, 200), all.Select(message => message.Data.GetInt32()));
        Assert.Equal(Enumerable.Range(0, 200), other.Inbox.Items.Concat(replica.Inbox.Items).Select(message => message.Data.GetInt32()).Order());
    }

    [Fact]
    public async Task A_group_that_subscribes_later_gets_what_was_published_before()
    {
        await using SidecarHarness sidecar = await StartAsync(null);
        SubscriberApp late = SubscriberApp.To(Subscriptions.To("orders", "in"));

        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3]);
        await sidecar.AddAsync("late", late.Map);
        IReadOnlyList<Delivered> delivered = await late.Inbox.WaitForAsync(3);

        Assert.Equal([1, 2, 3], delivered.Select(message => message.Data.GetInt32()));
    }

    [Fact]
    public async Task With_a_uuid_as_consumer_id_every_replica_gets_all_that_is_published_while_it_runs()
    {
        SubscriberApp one = SubscriberApp.To(Subscriptions.To("deltas", "in"));
        SubscriberApp two = SubscriberApp.To(Subscriptions.To("deltas", "in"));
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(PubSub(("consumerID", "{appID}-{uuid}")), appId: "publisher");

        await sidecar.Dapr.PublishEventAsync("pubsub", "deltas", 0);
        await sidecar.AddAsync("retrieval", one.Map);
        await sidecar.AddAsync("retrieval", two.Map);
        await UntilSubscribedAsync(sidecar, one, two);
        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "deltas", [1, 2, 3]);
        await WaitUntilAsync(() => new[] { one, two }.All(app => app.Inbox.Items.Any(message => message.Data.GetInt32() == 3)));

        Assert.Equal([1, 2, 3], one.Inbox.Items.Select(message => message.Data.GetInt32()).Where(n => n < 100));
        Assert.Equal([1, 2, 3], two.Inbox.Items.Select(message => message.Data.GetInt32()).Where(n => n < 100));
    }

    [Fact]
    public async Task Scopes_keep_an_app_from_topics_that_are_not_its_own()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("closed", "closed"), Subscriptions.To("open", "open"));
        await using SidecarHarness sidecar = await StartAsync(app, ("subscriptionScopes", "subscriber=open;another=closed"), ("publishingScopes", "another=open"));

        await PublishAsync(sidecar, "closed", "1");
        await PublishAsync(sidecar, "open", "2");
        await app.Inbox.WaitForAsync(1);
        await PublishAsync(sidecar, "open", "3");
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(2);

        Assert.Equal(["/open", "/open"], delivered.Select(message => message.Path));
    }

    [Fact]
    public async Task While_the_app_is_away_messages_wait_and_its_new_subscriptions_count_when_it_is_back()
    {
        SubscriberApp before = SubscriberApp.To(Subscriptions.To("orders", "in"));
        SubscriberApp after = SubscriberApp.To(Subscriptions.To("orders", "renewed"), Subscriptions.To("extra", "extra"));
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(PubSub(), appId: "publisher");
        TestApp first = await TestApp.StartAsync(before.Map);
        await using EmbeddedSidecar subscriber = await EmbeddedSidecar.StartAsync("subscriber", sidecar.Folder, first.Port, ((EmbeddedSidecar)sidecar.Main).Server.Context.Shared);
        await PublishAsync(sidecar, "orders", "1");
        await before.Inbox.WaitForAsync(1);

        await first.DisposeAsync();
        for (int i = 2; i <= 5; i++) await PublishAsync(sidecar, "orders", i.ToString(CultureInfo.InvariantCulture));
        await using TestApp second = await TestApp.StartAsync(after.Map, port: first.Port);
        await after.Inbox.WaitForAsync(4);
        await PublishAsync(sidecar, "extra", "9");
        IReadOnlyList<Delivered> delivered = await after.Inbox.WaitForAsync(5);

        Assert.Equal([2, 3, 4, 5, 9], delivered.Select(message => message.Data.GetInt32()));
        Assert.Equal("/extra", delivered[4].Path);
    }

    [Fact]
    public async Task Subscriptions_are_asked_for_until_the_app_can_say_them()
    {
        var app = new SubscriberApp { Subscribe = "not ready" };
        await using SidecarHarness sidecar = await StartAsync(app);

        app.Subscribe = Subscriptions.Json(Subscriptions.To("orders", "in"));
        await PublishAsync(sidecar, "orders", "1");

        Assert.Equal(1, (await app.Inbox.WaitForAsync(1))[0].Data.GetInt32());
    }

    [Fact]
    public async Task A_sidecar_that_stops_gives_back_what_its_app_has_not_answered()
    {
        var stuck = new TaskCompletionSource();
        SubscriberApp slow = SubscriberApp.To(Subscriptions.To("orders", "in"));
        var arrived = new TaskCompletionSource();
        slow.Answer = async _ =>
        {
            arrived.TrySetResult();
            await stuck.Task;
            return (500, "");
        };
        SubscriberApp next = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(PubSub(("processingTimeout", "10m")), appId: "publisher");
        await using TestApp slowApp = await TestApp.StartAsync(slow.Map);
        EmbeddedSidecar stopping = await EmbeddedSidecar.StartAsync("subscriber", sidecar.Folder, slowApp.Port, ((EmbeddedSidecar)sidecar.Main).Server.Context.Shared);
        await sidecar.Dapr.BulkPublishEventAsync("pubsub", "orders", [1, 2, 3]);
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));

        await stopping.DisposeAsync();
        await sidecar.AddAsync("subscriber", next.Map);
        IReadOnlyList<Delivered> delivered = await next.Inbox.WaitForAsync(3);
        stuck.SetResult();

        Assert.Equal([1, 2, 3], delivered.Select(message => message.Data.GetInt32()));
    }

    private static async Task WaitUntilAsync(Func<bool> condition)
    {
        for (int i = 0; i < 400 && !condition(); i++) await Task.Delay(50);
        Assert.True(condition());
    }

    // A group made by {uuid} starts at the newest message, so the apps must be known to listen before the test publishes.
    private static async Task UntilSubscribedAsync(SidecarHarness sidecar, params SubscriberApp[] apps)
    {
        for (int probe = 100; apps.Any(app => app.Inbox.Items.Count == 0); probe++)
        {
            await sidecar.Dapr.PublishEventAsync("pubsub", "deltas", probe);
            await Task.Delay(50);
            Assert.True(probe < 400, "the apps never subscribed");
        }
    }

    private static int Number(JsonElement entry) => entry.GetProperty("event").GetProperty("data").GetInt32();

    private sealed record Order(int Number, string Name);
}
