using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Mesh.Testing;

/// <summary>A small web app on a free port, in the test's process: the app behind a sidecar.</summary>
public sealed class TestApp : IAsyncDisposable
{
    private readonly WebApplication _web;

    private TestApp(WebApplication web) => _web = web;

    public IServiceProvider Services => _web.Services;

    public int Port { get; private set; }

    /// <param name="map">Its routes.</param>
    /// <param name="build">Its services, e.g. AddActors.</param>
    /// <param name="port">0 = any free one.</param>
    public static async Task<TestApp> StartAsync(Action<WebApplication> map, Action<WebApplicationBuilder>? build = null, int port = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        build?.Invoke(builder);
        builder.WebHost.UseUrls($"http://127.0.0.1:{port}");
        WebApplication web = builder.Build();
        map(web);
        await web.StartAsync();
        string address = web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new TestApp(web) { Port = new Uri(address).Port };
    }

    public async ValueTask DisposeAsync()
    {
        await _web.StopAsync();
        await _web.DisposeAsync();
    }
}
