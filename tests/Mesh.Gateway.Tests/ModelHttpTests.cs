using System.Net;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Making a model live over HTTP, and seeing how far the services are.</summary>
public sealed class ModelHttpTests
{
    [Fact]
    public async Task An_order_is_accepted_once_the_broker_holds_it()
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? body, _) = await app.SendAsync(HttpMethod.Post, "/v1/models", """{"version":"mini-1a2b3c4d","path":"trained-mini"}""");

        Assert.Equal(HttpStatusCode.Accepted, status);
        ModelChange change = Assert.Single(app.Topics.On<ModelChange>(Topics.Models));
        Assert.Equal(("mini-1a2b3c4d", "trained-mini", GatewayApp.Now.ToUnixTimeMilliseconds()), (change.Version, change.Path, change.TimeMs));
        Assert.Equal((change.EventId, "mini-1a2b3c4d"), (body!["eventId"]!.GetValue<string>(), body["version"]!.GetValue<string>()));
        Assert.True(MeshId.IsUlid(change.EventId));
    }

    [Theory]
    [InlineData("""{}""", "path,version")]
    [InlineData("""{"version":"a b","path":"../mini"}""", "path,version")]
    [InlineData("""{"version":5,"path":["mini"]}""", "path,version")]
    [InlineData("""{"version":"mini","path":"/etc"}""", "path")]
    [InlineData("""{"version":"mini","path":"a/b"}""", "path")]
    [InlineData("""{"version":"mini","path":"a:b"}""", "path")]
    [InlineData("""{"version":"mini","path":""}""", "path")]
    [InlineData("""[]""", "$,path,version")]
    public async Task Every_fault_of_an_order_is_told_at_once_and_nothing_is_published(string json, string fields)
    {
        await using var app = new GatewayApp();

        (HttpStatusCode status, JsonNode? problem, HttpResponseMessage response) = await app.SendAsync(HttpMethod.Post, "/v1/models", json);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(fields, string.Join(',', problem!["errors"]!.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal)));
        Assert.Empty(app.Topics.On<ModelChange>(Topics.Models));
    }

    [Fact]
    public async Task An_order_needs_a_key_where_keys_are_on_and_the_broker_to_be_there()
    {
        await using var closed = new GatewayApp(("Gateway:ApiKeys:0", "0123456789abcdef"));
        await using var open = new GatewayApp();
        open.Topics.IsDown = true;
        const string Order = """{"version":"mini","path":"mini"}""";

        (HttpStatusCode post, _, _) = await closed.SendAsync(HttpMethod.Post, "/v1/models", Order);
        (HttpStatusCode get, _, _) = await closed.GetAsync("/v1/models");
        (HttpStatusCode down, _, HttpResponseMessage response) = await open.SendAsync(HttpMethod.Post, "/v1/models", Order);

        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.ServiceUnavailable), (post, get, down));
        Assert.Empty(closed.Topics.On<ModelChange>(Topics.Models));
        Assert.True(response.Headers.RetryAfter?.Delta > TimeSpan.Zero);
    }

    [Fact]
    public async Task A_model_is_live_once_all_three_services_say_so()
    {
        await using var app = new GatewayApp();
        app.Services.NextModelVersion = "mini-2";
        app.Services.RankerVersion = "mini-1";
        (_, JsonNode? one, _) = await app.GetAsync("/v1/models");
        app.Services.RankerVersion = "mini-2";
        (_, JsonNode? half, _) = await app.GetAsync("/v1/models");

        Assert.Equal("mini-1", one!["live"]!.GetValue<string>());
        Assert.Null(half!["live"]);
        JsonArray services = half["services"]!.AsArray();
        Assert.Equal(["index-updater:mini-1", "retrieval:mini-1", "ranker:mini-2"], services.Select(service => $"{service!["appId"]}:{service["version"]}"));
        Assert.Equal("mini-2", services[0]!["next"]!.GetValue<string>());
        Assert.Equal(["mini-1", "mini-0"], services[2]!["loaded"]!.AsArray().Select(version => version!.GetValue<string>()));
    }

    [Fact]
    public async Task A_model_is_not_live_before_every_shard_is_on_it()
    {
        await using var app = new GatewayApp(("Gateway:Retrieval:0", "retrieval-0"), ("Gateway:Retrieval:1", "retrieval-1"));
        app.Services.RankerVersion = "mini-1";
        string second = "mini-0";
        app.Services.OnRetrievalStatus = id => new RetrievalStatus { ModelVersion = id == "retrieval-1" ? second : "mini-1" };
        (_, JsonNode? half, _) = await app.GetAsync("/v1/models");
        second = "mini-1";
        (_, JsonNode? whole, _) = await app.GetAsync("/v1/models");

        Assert.Null(half!["live"]);
        Assert.Contains("retrieval-1:mini-0", half["services"]!.AsArray().Select(service => $"{service!["appId"]}:{service["version"]}"));
        Assert.Equal("mini-1", whole!["live"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_service_that_is_down_or_never_answers_is_a_line_and_not_an_error()
    {
        await using var app = new GatewayApp(TimeProvider.System, ("Gateway:StatusTimeoutMs", "100"));
        app.Services.Down[AppIds.Ranker] = true;
        app.Services.Hanging[AppIds.Retrieval] = true;

        (HttpStatusCode status, JsonNode? body, _) = await app.GetAsync("/v1/models");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Null(body!["live"]);
        Assert.Equal("no answer within 100 ms", body["services"]![1]!["reason"]!.GetValue<string>());
        Assert.Contains("ranker", body["services"]![2]!["reason"]!.GetValue<string>());
    }
}
