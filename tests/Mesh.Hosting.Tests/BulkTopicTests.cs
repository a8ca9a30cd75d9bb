using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Contracts;

namespace Mesh.Hosting.Tests;

public sealed class BulkTopicTests
{
    [Fact]
    public async Task Every_message_gets_its_own_status()
    {
        await using TestApp app = await TestApp.StartAsync(web => web.MapBulkTopic<Engagement>("pubsub", "engagements", (messages, _) =>
            Task.FromResult<IReadOnlyList<Delivery>>([.. messages.Select(message => message.UserId switch
            {
                "ok" => Delivery.Success,
                "later" => Delivery.Retry,
                _ => Delivery.Drop,
            })])));

        Dictionary<string, string> statuses = await DeliverAsync(app, Entry("1", "{\"userId\":\"ok\"}"), Entry("2", "{\"userId\":\"later\"}"), Entry("3", "{\"userId\":\"never\"}"));

        Assert.Equal(new Dictionary<string, string> { ["1"] = "SUCCESS", ["2"] = "RETRY", ["3"] = "DROP" }, statuses);
    }

    [Fact]
    public async Task A_message_that_cannot_be_read_is_dropped_and_the_others_arrive()
    {
        var seen = new List<string>();
        await using TestApp app = await TestApp.StartAsync(web => web.MapBulkTopic<Engagement>("pubsub", "engagements", (messages, _) =>
        {
            seen.AddRange(messages.Select(message => message.UserId));
            return Task.FromResult<IReadOnlyList<Delivery>>([.. messages.Select(_ => Delivery.Success)]);
        }));

        Dictionary<string, string> statuses = await DeliverAsync(app,
            Entry("bad-type", "{\"timeMs\":\"soon\"}"), Entry("good", "{\"userId\":\"u\",\"fromTheFuture\":1}"), "{\"entryId\":\"bare\",\"event\":7}",
            Entry("text", "\"hello\""), Entry("half-character", "{\"userId\":\"\\ud83d\"}"), Entry("empty", "\"\""), Entry("null", "null"), Entry("list", "[1]"));

        Assert.Equal(["u"], seen);
        Assert.All(["text", "half-character", "empty", "null", "list"], id => Assert.Equal("DROP", statuses[id]));
        Assert.Equal("DROP", statuses["bad-type"]);
        Assert.Equal("DROP", statuses["bare"]);
        Assert.Equal("SUCCESS", statuses["good"]);
    }

    [Fact]
    public async Task A_failing_handler_fails_the_delivery_so_that_all_of_it_comes_again()
    {
        await using TestApp app = await TestApp.StartAsync(web => web.MapBulkTopic<Engagement>("pubsub", "engagements",
            (_, _) => throw new InvalidOperationException("the store is down")));

        using HttpResponseMessage response = await PostAsync(app, Entry("1", "{}"));

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
    }

    [Fact]
    public async Task The_subscription_is_announced_with_bulk_and_dead_letters()
    {
        await using TestApp app = await TestApp.StartAsync(web => web.MapBulkTopic<Engagement>("pubsub", "engagements",
            (messages, _) => Task.FromResult<IReadOnlyList<Delivery>>([]), messagesMax: 500, awaitMs: 10));

        JsonElement subscription = (await app.Client.GetFromJsonAsync<JsonElement>("/dapr/subscribe"))[0];

        Assert.Equal("engagements", subscription.GetProperty("topic").GetString());
        Assert.Equal("topics/engagements", subscription.GetProperty("route").GetString());
        Assert.Equal(Topics.DeadLetters, subscription.GetProperty("deadLetterTopic").GetString());
        Assert.Equal(500, subscription.GetProperty("bulkSubscribe").GetProperty("maxMessagesCount").GetInt32());
    }

    private static string Entry(string id, string data) => $"{{\"entryId\":\"{id}\",\"event\":{{\"specversion\":\"1.0\",\"data\":{data}}}}}";

    private static Task<HttpResponseMessage> PostAsync(TestApp app, params string[] entries) =>
        app.Client.PostAsync("/topics/engagements", new StringContent($"{{\"id\":\"b\",\"entries\":[{string.Join(',', entries)}]}}"));

    private static async Task<Dictionary<string, string>> DeliverAsync(TestApp app, params string[] entries)
    {
        using HttpResponseMessage response = await PostAsync(app, entries);
        response.EnsureSuccessStatusCode();
        JsonElement body = await response.Content.ReadFromJsonAsync<JsonElement>();
        return body.GetProperty("statuses").EnumerateArray()
            .ToDictionary(status => status.GetProperty("entryId").GetString()!, status => status.GetProperty("status").GetString()!);
    }
}
