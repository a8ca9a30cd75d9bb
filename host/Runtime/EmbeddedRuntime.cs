using System.Globalization;
using Mesh.Host.Topology;
using Mesh.Sidecar.PubSub;
using Mesh.Sidecar.Runtime;

namespace Mesh.Host.Runtime;

/// <summary>Every sidecar in this process, over shared components: SQLite files are opened once.</summary>
internal sealed class EmbeddedRuntime(string dataDirectory, Func<string, ILoggerFactory> loggersOf, TimeProvider clock) : IDaprRuntime
{
    private readonly SharedRuntime _shared = new();
    private readonly Dictionary<string, SidecarServer> _servers = new(StringComparer.Ordinal); // complete before any app starts
    private readonly List<ILoggerFactory> _loggers = [];

    public async Task StartAsync(AppTemplate app, AppPorts ports, CancellationToken cancellation)
    {
        var defaults = new SidecarOptions { AppId = app.AppId };
        string? Variable(string name) =>
            (app.Environment.GetValueOrDefault(name) ?? Environment.GetEnvironmentVariable(name)) is { Length: > 0 } value ? value : null;
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
            AppConcurrencyMax = app.Settings.TryGetValue("appMaxConcurrency", out string? max)
                && int.Parse(max, CultureInfo.InvariantCulture) is > 0 and var limit ? limit : null,
        };
        ILoggerFactory loggers = loggersOf(app.AppId);
        _loggers.Add(loggers);
        _servers.Add(app.AppId, await SidecarServer.StartAsync(options, _shared, loggers, clock, cancellation));
    }

    /// <summary>Untold, the sidecar would take the app's actors for active until a call fails or its own check finds out.</summary>
    public void AppExited(string appId) => _servers[appId].AppExited();

    /// <summary>
    /// Reads the app's subscriptions anew: they may be others, and where no delivery failed meanwhile the sidecar saw no restart.
    /// </summary>
    public async Task AppRestartedAsync(string appId, CancellationToken cancellation)
    {
        SidecarServer server = _servers[appId];
        await server.Ready.WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
        if (!server.Ready.IsCompletedSuccessfully) return; // a block that could not start: logged, and its subscriptions are not to be had
        await server.Block<PubSubBlock>().RefreshSubscriptionsAsync(cancellation);
    }

    public int SidecarPid(string appId) => 0;

    public async ValueTask DisposeAsync()
    {
        foreach (SidecarServer server in _servers.Values) await server.DisposeAsync();
        await _shared.DisposeAsync();
        foreach (ILoggerFactory loggers in _loggers) loggers.Dispose();
    }
}
