using System.Net;
using System.Text;
using Dapr.Actors.Client;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.SequenceStore.Storage;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.SequenceStore.Tests;

/// <summary>
/// The service as a process would run it, over an in-memory server, state and actor routing: the SDK's actor proxies, their
/// JSON and the actor routes are the real ones.
/// </summary>
internal sealed class SequenceApp : WebApplicationFactory<SequenceOptions>
{
    public SequenceApp()
    {
        Clock.SetUtcNow(DateTimeOffset.FromUnixTimeMilliseconds(Engagements.EpochMs));
        Actors = new ActorLoopback(() => Server.CreateHandler());
    }

    public InMemoryUserState State { get; } = new();

    public FakeTimeProvider Clock { get; } = new();

    public ActorLoopback Actors { get; }

    /// <summary>Delivers messages of a topic in bulk, as a sidecar does, and returns each entry's status.</summary>
    public async Task<string[]> DeliverAsync(string topic, params IMessage[] messages)
    {
        using HttpClient client = CreateClient();
        using var body = new StringContent(Deliveries.Body(messages), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await client.PostAsync($"topics/{topic}", body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return Deliveries.Statuses(await response.Content.ReadAsStringAsync());
    }

    public async Task<T> GetAsync<T>(string path) where T : IMessage<T>, new()
    {
        using HttpClient client = CreateClient();
        using HttpResponseMessage response = await client.GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(ProtobufBody.ContentType, response.Content.Headers.ContentType?.MediaType);
        return new MessageParser<T>(() => new T()).ParseFrom(await response.Content.ReadAsByteArrayAsync());
    }

    public async Task<(HttpStatusCode Status, string Body)> SendAsync(HttpMethod method, string path, IMessage? message = null)
    {
        using HttpClient client = CreateClient();
        using var request = new HttpRequestMessage(method, path);
        if (message is not null)
        {
            request.Content = new ByteArrayContent(message.ToByteArray());
            request.Content.Headers.ContentType = new(ProtobufBody.ContentType);
        }

        using HttpResponseMessage response = await client.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder) => builder.ConfigureTestServices(services =>
    {
        services.AddSingleton<IUserStateStore>(State);
        services.AddSingleton<TimeProvider>(Clock);
        services.AddSingleton<IActorProxyFactory>(
            new ActorProxyFactory(new ActorProxyOptions { UseJsonSerialization = true, HttpEndpoint = "http://sidecar" }, Actors));
    });

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing) Actors.Dispose();
    }
}
