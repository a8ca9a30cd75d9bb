using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Mesh.Gateway.Edge;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Gateway.Tests.Fakes;

/// <summary>The whole gateway in memory, with fakes in place of the sidecar and a clock that stands still.</summary>
internal sealed class GatewayApp : IAsyncDisposable
{
    public static readonly DateTimeOffset Now = new(2026, 11, 22, 13, 0, 0, TimeSpan.Zero);

    private readonly WebApplicationFactory<GatewayOptions> _factory;

    public GatewayApp(params (string Key, string Value)[] settings) : this(null, settings)
    {
    }

    /// <param name="clock">In place of the clock that stands still.</param>
    public GatewayApp(TimeProvider? clock, params (string Key, string Value)[] settings)
    {
        _factory = new WebApplicationFactory<GatewayOptions>().WithWebHostBuilder(host =>
        {
            host.UseContentRoot(AppContext.BaseDirectory);
            host.UseSetting("Logging:LogLevel:Default", "None");
            foreach ((string key, string value) in settings) host.UseSetting(key, value);
            host.ConfigureTestServices(services =>
            {
                services.RemoveAll<TimeProvider>().AddSingleton(clock ?? Clock);
                services.RemoveAll<IMeshServices>().AddSingleton<IMeshServices>(Services);
                services.RemoveAll<IEventTopics>().AddSingleton<IEventTopics>(Topics);
            });
        });
        Client = _factory.CreateClient(new WebApplicationFactoryClientOptions { AllowAutoRedirect = false });
    }

    public FakeServices Services { get; } = new();

    public FakeTopics Topics { get; } = new();

    public FakeTimeProvider Clock { get; } = new(Now);

    public HttpClient Client { get; }

    public IServiceProvider Provider => _factory.Services;

    public Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseMessage Response)> GetAsync(string path) =>
        SendAsync(HttpMethod.Get, path);

    public Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseMessage Response)> SendAsync(
        HttpMethod method, string path, string? json = null, string contentType = "application/json") =>
        SendAsync(method, path, json is null ? null : new ByteArrayContent(Encoding.UTF8.GetBytes(json)), contentType);

    public async Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseMessage Response)> SendAsync(
        HttpMethod method, string path, HttpContent? content, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        content?.Headers.TryAddWithoutValidation("Content-Type", contentType);
        HttpResponseMessage response = await Client.SendAsync(request);
        string body = await response.Content.ReadAsStringAsync();
        return (response.StatusCode, body.StartsWith('{') ? JsonNode.Parse(body) : null, response);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _factory.DisposeAsync();
    }
}
