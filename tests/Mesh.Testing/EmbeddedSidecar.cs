using Mesh.Sidecar.Runtime;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Mesh.Testing;

/// <summary>
/// A real sidecar inside the test's process, on free ports, over component YAML in a folder. Relative paths in the
/// components (SQLite files, local storage) land in the same folder.
/// </summary>
public sealed class EmbeddedSidecar : RunningSidecar
{
    private readonly SharedRuntime? _ownShared;

    private EmbeddedSidecar(SidecarServer server, SharedRuntime? ownShared)
    {
        Server = server;
        _ownShared = ownShared;
    }

    public SidecarServer Server { get; }

    public override string AppId => Server.Context.AppId;

    public override int HttpPort => Server.HttpPort;

    public override int GrpcPort => Server.GrpcPort;

    /// <summary>Starts a sidecar, and waits until it is ready where <paramref name="appPort"/> already listens or there is no app.</summary>
    /// <param name="folder">Holds the resource files and receives the data.</param>
    /// <param name="shared">Runtime of sidecars that see each other as in one host; null = one of its own, closed with the sidecar.</param>
    /// <param name="configure">Last word on the options.</param>
    /// <param name="waitUntilReady">False where the app listens only later: a service under test often needs the ports first.</param>
    public static async Task<EmbeddedSidecar> StartAsync(
        string appId, string folder, int? appPort = null, SharedRuntime? shared = null, TimeProvider? clock = null,
        ILoggerFactory? loggers = null, Func<SidecarOptions, SidecarOptions>? configure = null, bool waitUntilReady = true)
    {
        SharedRuntime? ownShared = shared is null ? new SharedRuntime() : null;
        var options = new SidecarOptions
        {
            AppId = appId,
            AppPort = appPort,
            HttpPort = 0,
            GrpcPort = 0,
            ResourcesPaths = [folder],
            DataDirectory = folder,
        };
        try
        {
            SidecarServer server = await SidecarServer.StartAsync(
                configure?.Invoke(options) ?? options, shared ?? ownShared!, loggers ?? NullLoggerFactory.Instance, clock ?? TimeProvider.System,
                CancellationToken.None);
            var sidecar = new EmbeddedSidecar(server, ownShared);
            if (waitUntilReady) await server.Ready.WaitAsync(TimeSpan.FromSeconds(30));
            return sidecar;
        }
        catch when (ownShared is not null)
        {
            await ownShared.DisposeAsync();
            throw;
        }
    }

    protected override async ValueTask StopAsync()
    {
        await Server.DisposeAsync();
        if (_ownShared is not null) await _ownShared.DisposeAsync();
    }
}
