using System.Globalization;
using Mesh.Host.Topology;
using Mesh.Sidecar.Runtime;

namespace Mesh.Host.Runtime;

/// <summary>Every sidecar in this process, over shared components: SQLite files are opened once.</summary>
internal sealed class EmbeddedRuntime(string dataDirectory, Func<string, ILoggerFactory> loggersOf, TimeProvider clock) : IDaprRuntime
{
    private readonly SharedRuntime _shared = new();
    private readonly List<SidecarServer> _servers = [];
    private readonly List<ILoggerFactory> _loggers = [];

    public async Task StartAsync(AppTemplate app, AppPorts ports, CancellationToken cancellation)
    {
        var defaults = new SidecarOptions { AppId = app.AppId };
        string? Variable(string name) => (app.Environment.GetValueOrDefault(name) ?? Environment.GetEnvironmentVariable(name)) is { Length: > 0 } value ? value : null;
        SidecarOptions options = defaults with
        {
            AppPort = app.AppPort is null ? null : ports.App,
            AppAddress = app.Settings.GetValueOrDefault("appChannelAddress") ?? defaults.AppAddress,
            HttpPort = ports.DaprHttp,
            GrpcPort = ports.DaprGrpc,
            ResourcesPaths = app.ResourcesPaths,
            DataDirectory = dataDirectory,
            BodyBytesMax = app.BodyBytesMax ?? defaults.BodyBytesMax,
            ApiToken = Variable("DAPR_API_TOKEN"),
            AppApiToken = Variable("APP_API_TOKEN"),
            AppConcurrencyMax = app.Settings.TryGetValue("appMaxConcurrency", out string? max) && int.Parse(max, CultureInfo.InvariantCulture) is > 0 and var limit ? limit : null,
        };
        ILoggerFactory loggers = loggersOf(app.AppId);
        _loggers.Add(loggers);
        _servers.Add(await SidecarServer.StartAsync(options, _shared, loggers, clock, cancellation));
    }

    public int SidecarPid(string appId) => 0;

    public async ValueTask DisposeAsync()
    {
        foreach (SidecarServer server in _servers) await server.DisposeAsync();
        await _shared.DisposeAsync();
        foreach (ILoggerFactory loggers in _loggers) loggers.Dispose();
    }
}
