using System.Net;
using Grpc.AspNetCore.Server.Model;
using Grpc.Reflection;
using Mesh.Sidecar.Components;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// One app's sidecar: both faces of the Dapr API on their own ports, over building blocks. Components are opened before
/// the ports are, and the blocks are set up once the app listens.
/// </summary>
public sealed class SidecarServer : IAsyncDisposable
{
    private readonly WebApplication _web;
    private readonly SidecarContext _context;
    private readonly IReadOnlyList<IBuildingBlock> _blocks;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private Task _startBlocks = Task.CompletedTask;

    private SidecarServer(WebApplication web, SidecarContext context, IReadOnlyList<IBuildingBlock> blocks)
    {
        _web = web;
        _context = context;
        _blocks = blocks;
        _logger = context.Loggers.CreateLogger("Mesh.Sidecar");
    }

    public SidecarContext Context => _context;

    /// <summary>Port of the HTTP face, known once started.</summary>
    public int HttpPort { get; private set; }

    /// <summary>Port of the gRPC face, known once started.</summary>
    public int GrpcPort { get; private set; }

    /// <summary>Completes when the app listens and every block is set up; fails where one could not be.</summary>
    public Task Ready => _context.Health.Ready;

    /// <summary>A block of this sidecar by type, for calls between sidecars of one process (invocation, actors).</summary>
    public T Block<T>() where T : class, IBuildingBlock => _blocks.OfType<T>().Single();

    /// <summary>Reads the resources, opens the components and both ports; the blocks start as soon as the app listens.</summary>
    /// <exception cref="ComponentException">A component cannot be used; the message says which, why, and the way out.</exception>
    public static async Task<SidecarServer> StartAsync(
        SidecarOptions options, SharedRuntime shared, ILoggerFactory loggers, TimeProvider clock, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(shared);
        SidecarContext context = await OpenContextAsync(options, shared, loggers, clock, cancellation);
        SidecarServer? server = null;
        try
        {
            IReadOnlyList<IBuildingBlock> blocks = BuildingBlocks.Create(context);
            var binder = new GrpcBinder(loggers);
            foreach (IBuildingBlock block in blocks) block.BindGrpc(binder);

            WebApplication web = Build(options, loggers, clock, binder);
            foreach (IBuildingBlock block in blocks) block.MapHttp(web);
            server = new SidecarServer(web, context, blocks);
            await web.StartAsync(cancellation);
            server.ReadPorts();
        }
        catch
        {
            if (server is not null) await server.DisposeAsync();
            else context.App?.Dispose();
            throw;
        }

        shared.Sidecars[options.AppId] = server;
        server.LogStart();
        server._startBlocks = server.StartBlocksAsync(server._stopping.Token);
        return server;
    }

    /// <summary>
    /// The app's process has ended: the actors that were active in it are not. For whoever runs the app; a sidecar that is
    /// not told finds out within seconds.
    /// </summary>
    public void AppExited() => Block<Actors.ActorsBlock>().AppLost();

    public async ValueTask DisposeAsync()
    {
        _context.Shared.Sidecars.TryRemove(new(_context.AppId, this));
        await _stopping.CancelAsync();
        foreach (IBuildingBlock block in _blocks) await block.DisposeAsync();
        await _startBlocks.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await StopWebAsync();
        _context.App?.Dispose();
        _stopping.Dispose();
        Log.Stopped(_logger, _context.AppId);
    }

    // Calls in flight get their time; what is then still open is cut.
    private async Task StopWebAsync()
    {
        using var timeout = new CancellationTokenSource(_context.Options.ShutdownTimeout);
        await _web.StopAsync(timeout.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _web.DisposeAsync();
    }

    private static async Task<SidecarContext> OpenContextAsync(
        SidecarOptions options, SharedRuntime shared, ILoggerFactory loggers, TimeProvider clock, CancellationToken cancellation)
    {
        ResourceFiles resources = await ResourceFiles.LoadAsync(options.ResourcesPaths, cancellation);
        var loader = new ComponentLoader(new ComponentReader(options.AppId, options.Namespace, options.PodName, options.DataDirectory));
        IReadOnlyList<ComponentDefinition> components = loader.Load(resources);
        foreach ((ComponentDefinition component, string reason) in loader.Ignored)
        {
            Log.ComponentIgnored(loggers.CreateLogger("Mesh.Sidecar.Components"), component.Name, component.Type, reason);
        }

        return new SidecarContext
        {
            Options = options,
            Components = components,
            Resources = resources,
            Shared = shared,
            App = options.AppPort is null ? null : new AppChannel(options, clock),
            Loggers = loggers,
            Clock = clock,
        };
    }

    private async Task StartBlocksAsync(CancellationToken cancellation)
    {
        string step = "app";
        try
        {
            if (_context.App is not null) await _context.App.WaitUntilListeningAsync(cancellation);
            foreach (IBuildingBlock block in _blocks)
            {
                step = block.GetType().Name;
                _context.Health.WaitFor(step);
                await block.StartAsync(cancellation);
            }

            _context.Health.BecomeReady();
            if (_context.Options.AppPort is { } port) Log.Ready(_logger, _context.AppId, port);
        }
        catch (OperationCanceledException canceled) when (cancellation.IsCancellationRequested)
        {
            _context.Health.Fail(canceled);
        }
#pragma warning disable CA1031 // a block that fails leaves the sidecar unready, which health says; its other APIs go on
        catch (Exception error)
#pragma warning restore CA1031
        {
            Log.BlockFailed(_logger, error, _context.AppId, step);
            _context.Health.Fail(error);
        }
    }

    // Addresses are listed in the order of the Listen calls: first all of HTTP, then all of gRPC.
    private void ReadPorts()
    {
        if (_context.Options.UnixDomainSocketFolder is not null) return;

        int[] ports = [.. _web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses
            .Select(address => new Uri(address).Port)];
        (HttpPort, GrpcPort) = (ports[0], ports[ports.Length / 2]);
    }

    private void LogStart()
    {
        string host = _context.Options.UnixDomainSocketFolder ?? string.Join(',', _context.Options.ListenAddresses);
        string components = string.Join(", ", _context.Components.Select(component => $"{component.Name} ({component.Type})"));
        Log.Started(
            _logger, _context.AppId, $"{host}:{HttpPort}", $"{host}:{GrpcPort}", _context.Options.AppPort?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none",
            components.Length == 0 ? "none" : components);
    }

    private static WebApplication Build(SidecarOptions options, ILoggerFactory loggers, TimeProvider clock, GrpcBinder binder)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(binder);
        builder.Services.AddSingleton<IServiceMethodProvider<DaprGrpcService>, DaprMethodProvider>();
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = options.BodyBytesMax);
        AddReflection(builder.Services);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => Listen(kestrel, options));

        WebApplication web = builder.Build();
        web.UseMiddleware<CleanPath>();
        if (options.LogCalls) web.UseMiddleware<ApiCallLog>(clock);
        web.UseMiddleware<ApiErrorHandler>();
        if (options.ApiToken is not null) web.UseMiddleware<ApiTokenCheck>(options);
        web.UseRouting();
        web.MapGrpcService<DaprGrpcService>();
        web.MapGrpcService<ReflectionServiceImpl>();
        web.MapGrpcService<ReflectionV1ServiceImpl>();
        web.Use(UnknownRoute);
        return web;
    }

    // The SDKs ask here which methods exist before they use one of two names for the same call. Grpc.AspNetCore finds
    // descriptors by generated base classes; ours has none, so the descriptor is given by hand.
    private static void AddReflection(IServiceCollection services)
    {
        var symbols = SymbolRegistry.FromFiles([global::Dapr.Client.Autogen.Grpc.v1.DaprReflection.Descriptor]);
        string[] names = [GrpcBinder.ServiceName];
        services.AddSingleton(new ReflectionServiceImpl(names, symbols));
        services.AddSingleton(new ReflectionV1ServiceImpl(names, symbols));
    }

    private static void Listen(KestrelServerOptions kestrel, SidecarOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = options.BodyBytesMax;
        // Bodies of invocations stream at the pace of their apps.
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        kestrel.Limits.Http2.MaxStreamsPerConnection = 1_000;
        if (options.UnixDomainSocketFolder is { } folder)
        {
            ListenUnix(kestrel, Path.Combine(folder, $"dapr-{options.AppId}-http.socket"), HttpProtocols.Http1);
            ListenUnix(kestrel, Path.Combine(folder, $"dapr-{options.AppId}-grpc.socket"), HttpProtocols.Http2);
            return;
        }

        IPAddress[] addresses = [.. options.ListenAddresses.Select(address => IPAddress.Parse(address.Trim('[', ']')))];
        foreach (IPAddress address in addresses) kestrel.Listen(address, options.HttpPort, listen => listen.Protocols = HttpProtocols.Http1);
        foreach (IPAddress address in addresses) kestrel.Listen(address, options.GrpcPort, listen => listen.Protocols = HttpProtocols.Http2);
    }

    private static void ListenUnix(KestrelServerOptions kestrel, string path, HttpProtocols protocols)
    {
        File.Delete(path); // left by a sidecar that was killed; a bound one would be in use by its name only
        kestrel.ListenUnixSocket(path, listen => listen.Protocols = protocols);
    }

    // Dapr takes whatever matches none of its routes for an invocation that lacks its app-id.
    private static Task UnknownRoute(HttpContext context, RequestDelegate next) =>
        context.GetEndpoint() is null or { RequestDelegate: null } || context.GetEndpoint()!.DisplayName == "405 HTTP Method Not Supported"
            ? ApiErrors.WriteAsync(
                context, StatusCodes.Status404NotFound, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or the header dapr-app-id")
            : next(context);

    /// <summary>The process around the sidecars decides when they stop; they do not listen for its signals themselves.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
