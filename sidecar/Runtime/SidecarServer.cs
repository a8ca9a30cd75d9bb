using Grpc.AspNetCore.Server.Model;
using Mesh.Sidecar.Components;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>One app's sidecar: both faces of the Dapr API on their own ports, over building blocks.</summary>
public sealed class SidecarServer : IAsyncDisposable
{
    private readonly WebApplication _web;
    private readonly SidecarContext _context;
    private readonly IReadOnlyList<IBuildingBlock> _blocks;
    private readonly CancellationTokenSource _stopping = new();
    private Task _startBlocks = Task.CompletedTask;

    private SidecarServer(WebApplication web, SidecarContext context, IReadOnlyList<IBuildingBlock> blocks)
    {
        _web = web;
        _context = context;
        _blocks = blocks;
    }

    public SidecarContext Context => _context;

    /// <summary>Port of the HTTP face, known once started.</summary>
    public int HttpPort { get; private set; }

    /// <summary>Port of the gRPC face, known once started.</summary>
    public int GrpcPort { get; private set; }

    /// <summary>A block of this sidecar by type, for calls between sidecars of one process (invocation, actors).</summary>
    public T Block<T>() where T : class, IBuildingBlock => _blocks.OfType<T>().Single();

    /// <summary>Opens both ports; the blocks start as soon as the app listens.</summary>
    public static async Task<SidecarServer> StartAsync(
        SidecarOptions options, SharedRuntime shared, ILoggerFactory loggers, TimeProvider clock, CancellationToken cancellation)
    {
        IReadOnlyList<ComponentDefinition> components = [];
        var context = new SidecarContext
        {
            Options = options,
            Components = components,
            Shared = shared,
            App = options.AppPort is null ? null : new AppChannel(options, clock),
            Loggers = loggers,
            Clock = clock,
        };
        IReadOnlyList<IBuildingBlock> blocks = BuildingBlocks.Create(context);
        var binder = new GrpcBinder();
        foreach (IBuildingBlock block in blocks) block.BindGrpc(binder);

        WebApplication web = Build(options, loggers, binder);
        foreach (IBuildingBlock block in blocks) block.MapHttp(web);
        var server = new SidecarServer(web, context, blocks);
        await web.StartAsync(cancellation);
        server.ReadPorts();
        shared.Sidecars[options.AppId] = server;
        server._startBlocks = server.StartBlocksAsync(server._stopping.Token);
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        _context.Shared.Sidecars.TryRemove(new(_context.AppId, this));
        await _stopping.CancelAsync();
        foreach (IBuildingBlock block in _blocks) await block.DisposeAsync();
        await _startBlocks.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _web.DisposeAsync();
        _context.App?.Dispose();
        _stopping.Dispose();
    }

    private async Task StartBlocksAsync(CancellationToken cancellation)
    {
        if (_context.App is not null) await _context.App.WaitUntilListeningAsync(cancellation);
        foreach (IBuildingBlock block in _blocks) await block.StartAsync(cancellation);
    }

    private void ReadPorts()
    {
        int[] ports = [.. _web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .Select(address => new Uri(address).Port)];
        (HttpPort, GrpcPort) = (ports[0], ports[1]);
    }

    private static WebApplication Build(SidecarOptions options, ILoggerFactory loggers, GrpcBinder binder)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton(binder);
        builder.Services.AddSingleton<IServiceMethodProvider<DaprGrpcService>, DaprMethodProvider>();
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = options.BodyBytesMax);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.BodyBytesMax;
            kestrel.Listen(System.Net.IPAddress.Loopback, options.HttpPort, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(System.Net.IPAddress.Loopback, options.GrpcPort, listen => listen.Protocols = HttpProtocols.Http2);
        });
        WebApplication web = builder.Build();
        web.MapGrpcService<DaprGrpcService>();
        return web;
    }
}
