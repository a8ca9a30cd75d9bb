using System.Net;
using System.Text;
using System.Text.Json;
using Grpc.Core;
using Grpc.Net.Client;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>Publish and subscribe as Dapr's documentation has them, over both faces, for every broker.</summary>
public abstract partial class PubSubSuite
{
    private protected abstract string BrokerType { get; }

    private protected abstract (string Name, string Value)[] BrokerMetadata { get; }

    /// <summary>A component <c>pubsub</c> of the suite's broker that redelivers quickly.</summary>
    private protected Dictionary<string, string> PubSub(params (string Name, string Value)[] metadata)
    {
        // What a test gives counts over the defaults.
        var merged = BrokerMetadata.Append(("redeliverInterval", "50ms")).Concat(metadata).GroupBy(item => item.Item1)
            .Select(group => (group.Key, group.Last().Item2));
        return SidecarHarness.Component("pubsub", BrokerType, [.. merged]);
    }

    private protected Task<SidecarHarness> StartAsync(SubscriberApp? app, params (string Name, string Value)[] metadata) =>
        SidecarHarness.StartAsync(PubSub(metadata), app is null ? null : app.Map, appId: "subscriber");

    private protected static async Task<HttpResponseMessage> PublishAsync(
        SidecarHarness sidecar, string topic, string body, string contentType = "application/json", string query = "")
    {
        using var content = new StringContent(body, Encoding.UTF8);
        content.Headers.ContentType = System.Net.Http.Headers.MediaTypeHeaderValue.Parse(contentType);
        return await sidecar.Http.PostAsync(new Uri($"v1.0/publish/pubsub/{topic}{query}", UriKind.Relative), content);
    }

    [Fact]
    public async Task A_published_object_arrives_as_a_cloud_event_with_every_attribute()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "/in"));
        await using SidecarHarness sidecar = await StartAsync(app);

        HttpResponseMessage published = await PublishAsync(sidecar, "orders", """{"id":1,"big":12345678901234567890.123}""");
        Delivered delivered = (await app.Inbox.WaitForAsync(1))[0];

        Assert.Equal(HttpStatusCode.NoContent, published.StatusCode);
        Assert.Equal("/in", delivered.Path);
        Assert.Equal("application/cloudevents+json", delivered.ContentType);
        JsonElement e = delivered.Body;
        Assert.Equal("12345678901234567890.123", e.GetProperty("data").GetProperty("big").GetRawText());
        Assert.Equal("1.0", e.GetProperty("specversion").GetString());
        Assert.Equal("com.dapr.event.sent", e.GetProperty("type").GetString());
        Assert.Equal("subscriber", e.GetProperty("source").GetString());
        Assert.Equal("application/json", e.GetProperty("datacontenttype").GetString());
        Assert.Equal("orders", e.GetProperty("topic").GetString());
        Assert.Equal("pubsub", e.GetProperty("pubsubname").GetString());
        Assert.True(Guid.TryParse(e.GetProperty("id").GetString(), out _));
        Assert.True(e.GetProperty("time").TryGetDateTimeOffset(out _));
        Assert.Equal(55, e.GetProperty("traceparent").GetString()!.Length);
        Assert.Equal(e.GetProperty("traceparent").GetString(), e.GetProperty("traceid").GetString());
    }

    [Theory]
    [InlineData("text/plain", "hello", "data", "hello")]
    [InlineData("application/xml", "<a/>", "data", "<a/>")]
    [InlineData("application/octet-stream", "hello", "data_base64", "aGVsbG8=")]
    [InlineData("application/json", "not json", "data", "not json")]
    public async Task Payloads_are_wrapped_by_their_content_type(string contentType, string body, string field, string expected)
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", body, contentType);
        Delivered delivered = (await app.Inbox.WaitForAsync(1))[0];

        Assert.Equal(expected, delivered.Body.GetProperty(field).GetString());
        Assert.Equal(contentType, delivered.Body.GetProperty("datacontenttype").GetString());
        Assert.Equal(field == "data", delivered.Body.TryGetProperty("data", out _));
    }

    [Fact]
    public async Task A_cloud_event_of_the_callers_own_is_kept_and_completed()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);
        const string Event = """{"id":"my-id","source":"me","type":"made","subject":"s","ext":7,"topic":"lie","data":{"a":[1,2]},"datacontenttype":"application/json"}""";

        await PublishAsync(sidecar, "orders", Event, "application/cloudevents+json");
        JsonElement delivered = (await app.Inbox.WaitForAsync(1))[0].Body;

        Assert.Equal("my-id", delivered.GetProperty("id").GetString());
        Assert.Equal("me", delivered.GetProperty("source").GetString());
        Assert.Equal("made", delivered.GetProperty("type").GetString());
        Assert.Equal(7, delivered.GetProperty("ext").GetInt32());
        Assert.Equal("1.0", delivered.GetProperty("specversion").GetString());
        Assert.Equal("orders", delivered.GetProperty("topic").GetString());
        Assert.Equal("[1,2]", delivered.GetProperty("data").GetProperty("a").GetRawText());
    }

    [Fact]
    public async Task Request_metadata_overrides_attributes_of_the_event()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", "{}", query: "?metadata.cloudevent.id=x1&metadata.cloudevent.type=t1&metadata.cloudevent.source=s1&metadata.cloudevent.subject=j1");
        JsonElement delivered = (await app.Inbox.WaitForAsync(1))[0].Body;

        Assert.Equal(["x1", "t1", "s1", "j1"], new[] { "id", "type", "source", "subject" }.Select(name => delivered.GetProperty(name).GetString()));
    }

    [Fact]
    public async Task A_raw_payload_reaches_a_raw_subscriber_in_base64_and_is_published_unwrapped()
    {
        SubscriberApp app = SubscriberApp.To(new { pubsubname = "pubsub", topic = "raw", route = "in", metadata = new { rawPayload = "true" } });
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "raw", """{"order":1}""", query: "?metadata.rawPayload=true");
        JsonElement delivered = (await app.Inbox.WaitForAsync(1))[0].Body;

        Assert.Equal("""{"order":1}""", Encoding.UTF8.GetString(delivered.GetProperty("data_base64").GetBytesFromBase64()));
        Assert.Equal("application/octet-stream", delivered.GetProperty("datacontenttype").GetString());
        Assert.Equal("Dapr", delivered.GetProperty("source").GetString());
    }

    [Fact]
    public async Task The_trace_of_the_publisher_goes_with_the_event()
    {
        const string Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1.0/publish/pubsub/orders") { Content = new StringContent("x") };
        request.Headers.Add("traceparent", Trace);

        await sidecar.Http.SendAsync(request);
        Delivered delivered = (await app.Inbox.WaitForAsync(1))[0];

        string expected = Trace[..35];
        Assert.StartsWith(expected, delivered.Body.GetProperty("traceparent").GetString(), StringComparison.Ordinal);
        Assert.StartsWith(expected, delivered.TraceParent, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("v1.0/publish/nosuch/orders", 404, "ERR_PUBSUB_NOT_FOUND")]
    [InlineData("v1.0/publish/pubsub/", 404, "ERR_TOPIC_NAME_EMPTY")]
    [InlineData("v1.0/publish/pubsub/orders?metadata.rawPayload=perhaps", 400, "ERR_PUBSUB_REQUEST_METADATA")]
    [InlineData("v1.0/publish/pubsub/secret", 403, "ERR_PUBSUB_FORBIDDEN")]
    [InlineData("v1.0-alpha1/publish/bulk/nosuch/orders", 404, "ERR_PUBSUB_NOT_FOUND")]
    [InlineData("v1.0/publish/bulk/pubsub/secret", 403, "ERR_PUBSUB_FORBIDDEN")]
    [InlineData("v1.0/publish/bulk/pubsub/orders", 400, "ERR_PUBSUB_EVENTS_SER")]
    public async Task Refused_publishes_say_which_rule_they_break(string path, int status, string errorCode)
    {
        await using SidecarHarness sidecar = await StartAsync(null, ("protectedTopics", "secret"));
        using var body = new StringContent(path.Contains("bulk/pubsub/secret", StringComparison.Ordinal) ? "[]" : "{}");

        HttpResponseMessage answer = await sidecar.Http.PostAsync(new Uri(path, UriKind.Relative), body);
        using JsonDocument error = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal(errorCode, error.RootElement.GetProperty("errorCode").GetString());
        Assert.NotEmpty(error.RootElement.GetProperty("message").GetString()!);
    }

    [Theory]
    [InlineData("", "orders", StatusCode.InvalidArgument)]
    [InlineData("nosuch", "orders", StatusCode.InvalidArgument)]
    [InlineData("pubsub", "", StatusCode.InvalidArgument)]
    [InlineData("pubsub", "secret", StatusCode.PermissionDenied)]
    public async Task Refused_publishes_have_their_grpc_status(string pubsub, string topic, StatusCode status)
    {
        await using SidecarHarness sidecar = await StartAsync(null, ("protectedTopics", "secret"));
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);
        var wire = new Wire.Dapr.DaprClient(channel);

        var single = await Assert.ThrowsAsync<RpcException>(async () => await wire.PublishEventAsync(new Wire.PublishEventRequest { PubsubName = pubsub, Topic = topic }));
        var bulk = await Assert.ThrowsAsync<RpcException>(async () => await wire.BulkPublishEventAsync(new Wire.BulkPublishRequest { PubsubName = pubsub, Topic = topic }));

        Assert.Equal(status, single.StatusCode);
        Assert.Equal(status, bulk.StatusCode);
    }

    [Theory]
    [InlineData("v1.0-alpha1")]
    [InlineData("v1.0")]
    public async Task A_bulk_over_http_arrives_in_order_with_each_entrys_content_type(string version)
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);
        const string Body = """
            [{"entryId":"1","event":"first","contentType":"text/plain"},
             {"entryId":"2","event":{"message":"second"},"contentType":"application/json","metadata":{"cloudevent.id":"own"}},
             {"entryId":"3","event":"aGk=","contentType":"application/octet-stream"},]
            """;
        using var content = new StringContent(Body, Encoding.UTF8, "application/json");

        HttpResponseMessage published = await sidecar.Http.PostAsync(new Uri($"{version}/publish/bulk/pubsub/orders", UriKind.Relative), content);
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(3);

        Assert.Equal(HttpStatusCode.NoContent, published.StatusCode);
        Assert.Equal("first", delivered[0].Data.GetString());
        Assert.Equal("second", delivered[1].Data.GetProperty("message").GetString());
        Assert.Equal("own", delivered[1].Body.GetProperty("id").GetString());
        Assert.Equal("aGk=", delivered[2].Body.GetProperty("data_base64").GetString());
    }

    [Theory]
    [InlineData("""[{"entryId":"1","event":"a","contentType":"text/plain"},{"entryId":"1","event":"b","contentType":"text/plain"}]""")]
    [InlineData("""[{"event":"a","contentType":"text/plain"}]""")]
    [InlineData("""[{"entryId":"1","event":{"a":1},"contentType":"text/plain"}]""")]
    [InlineData("""{"entryId":"1"}""")]
    [InlineData("[")]
    public async Task A_bulk_that_cannot_be_read_is_refused_as_a_whole(string body)
    {
        await using SidecarHarness sidecar = await StartAsync(null);
        using var content = new StringContent(body, Encoding.UTF8, "application/json");

        HttpResponseMessage answer = await sidecar.Http.PostAsync(new Uri("v1.0/publish/bulk/pubsub/orders", UriKind.Relative), content);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("ERR_PUBSUB_EVENTS_SER", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Messages_of_a_topic_are_delivered_in_the_order_of_their_publishing()
    {
        SubscriberApp app = SubscriberApp.To(Subscriptions.To("orders", "in"));
        await using SidecarHarness sidecar = await StartAsync(app);

        for (int i = 0; i < 100; i++) await sidecar.Dapr.PublishEventAsync("pubsub", "orders", i);
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(100);

        Assert.Equal(Enumerable.Range(0, 100), delivered.Select(message => message.Data.GetInt32()));
    }

    [Fact]
    public async Task A_message_past_its_time_to_live_is_not_delivered()
    {
        var app = new SubscriberApp { Subscribe = Subscriptions.Json(Subscriptions.To("orders", "in")) };
        var held = new TaskCompletionSource();
        app.Answer = async delivered =>
        {
            if (delivered.Body.GetProperty("data").GetString() == "first") await held.Task;
            return (200, "");
        };
        await using SidecarHarness sidecar = await StartAsync(app);

        await PublishAsync(sidecar, "orders", "first", "text/plain");
        await PublishAsync(sidecar, "orders", "short", "text/plain", "?metadata.ttlInSeconds=1");
        await PublishAsync(sidecar, "orders", "last", "text/plain");
        await Task.Delay(TimeSpan.FromSeconds(2.1)); // the time to live itself is what passes here
        held.SetResult();
        IReadOnlyList<Delivered> delivered = await app.Inbox.WaitForAsync(2);

        Assert.Equal(["first", "last"], delivered.Select(message => message.Data.GetString()));
    }

    [Fact]
    public async Task Metadata_lists_the_subscriptions()
    {
        SubscriberApp app = SubscriberApp.To(new { pubsubname = "pubsub", topic = "orders", route = "in", deadLetterTopic = "dead" });
        await using SidecarHarness sidecar = await StartAsync(app);

        using JsonDocument metadata = JsonDocument.Parse(await sidecar.Http.GetStringAsync(new Uri("v1.0/metadata", UriKind.Relative)));

        JsonElement subscription = metadata.RootElement.GetProperty("subscriptions")[0];
        Assert.Equal("orders", subscription.GetProperty("topic").GetString());
        Assert.Equal("dead", subscription.GetProperty("deadLetterTopic").GetString());
        Assert.Equal("PROGRAMMATIC", subscription.GetProperty("type").GetString());
        Assert.Equal("in", subscription.GetProperty("rules")[0].GetProperty("path").GetString());
    }
}

public sealed class InMemoryPubSubTests : PubSubSuite
{
    private protected override string BrokerType => "pubsub.in-memory";

    private protected override (string Name, string Value)[] BrokerMetadata => [];
}

public sealed class SqlitePubSubTests : PubSubSuite
{
    private protected override string BrokerType => "pubsub.sqlite";

    private protected override (string Name, string Value)[] BrokerMetadata => [("connectionString", "messages.db")];
}
