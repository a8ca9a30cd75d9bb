using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Ranker.Tests.Fakes;
using Mesh.Ranker.Transformer;
using Mesh.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Mesh.Ranker.Tests;

/// <summary>The ranker as a process would run it, over an in-memory server. Without a store it has no model, or those of models/.</summary>
internal sealed class RankerApp(Dictionary<string, string?>? settings = null, IModelStore? store = null, TimeProvider? clock = null, bool fromDisk = false)
    : WebApplicationFactory<RankerOptions>
{
    public ReloadableSettings Settings { get; } = new(settings ?? []);

    public Logs Logs { get; } = new();

    public async Task<ScoreResponse> ScoreAsync(ScoreRequest request, int? budgetMs = null)
    {
        using HttpResponseMessage response = await PostAsync(request, budgetMs);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return ScoreResponse.Parser.ParseFrom(await response.Content.ReadAsByteArrayAsync());
    }

    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, int? budgetMs = null)
    {
        using HttpResponseMessage response = await PostAsync("prepare", request, budgetMs);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return PrepareResponse.Parser.ParseFrom(await response.Content.ReadAsByteArrayAsync());
    }

    public Task<HttpResponseMessage> PostAsync(ScoreRequest request, int? budgetMs = null) => PostAsync("score", request, budgetMs);

    public async Task<HttpResponseMessage> PostAsync(string path, IMessage request, int? budgetMs)
    {
        using HttpClient client = CreateClient();
        using var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = new ByteArrayContent(request.ToByteArray()) };
        message.Content.Headers.ContentType = new(ProtobufBody.ContentType);
        if (budgetMs is { } budget) message.Headers.Add(Deadline.Header, budget.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return await client.SendAsync(message);
    }

    /// <summary>Delivers a message of the topic as the sidecar does; the status is SUCCESS, RETRY or DROP.</summary>
    public async Task<string> DeliverAsync(ModelChange change)
    {
        using HttpClient client = CreateClient();
        JsonElement data = JsonDocument.Parse(ProtobufJson.Format(change)).RootElement;
        var entry = new { entryId = "1", contentType = "application/cloudevents+json", @event = new { id = change.EventId, data } };
        var batch = new { id = "batch", topic = Topics.Models, pubsubname = Components.DeltaPubSub, entries = new[] { entry } };
        using HttpResponseMessage response = await client.PostAsJsonAsync("topics/models", batch);
        JsonElement answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        return answer.GetProperty("statuses")[0].GetProperty("status").GetString()!;
    }

    public async Task<RankerStatus> StatusAsync()
    {
        using HttpClient client = CreateClient();
        return RankerStatus.Parser.ParseFrom(await client.GetByteArrayAsync("status"));
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.ConfigureAppConfiguration(configuration => configuration.Add(Settings));
        builder.ConfigureTestServices(services =>
        {
            services.AddLogging(logging => logging.AddProvider(Logs));
            if (!fromDisk) services.Replace(ServiceDescriptor.Singleton(store ?? new FakeModelStore()));
            if (clock is not null) services.Replace(ServiceDescriptor.Singleton(clock));
        });
    }
}
