using System.Net.Sockets;
using System.Text.Json;
using Mesh.Sidecar.Runtime;
using Mesh.Sidecar.State;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Actors;

/// <summary>
/// Virtual actors: this sidecar's part of them. Hosts the types that its app names in <c>GET /dapr/config</c>, watches
/// whether the app is there, and brings calls to actors to whichever sidecar of the process hosts them.
/// </summary>
internal sealed class ActorsBlock : IBuildingBlock
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private readonly SidecarContext _context;
    private readonly ILogger _logger;
    private readonly ActorDirectory _directory;
    private readonly ActorHost? _host;
    private readonly Timers? _timers;
    private readonly Reminders? _reminders;
    private readonly ActorEndpoints _endpoints;
    private readonly ActorGrpc _grpc;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource _up = new(TaskCreationOptions.RunContinuationsAsynchronously); // completed while the app is there
    private TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;
    private bool _isStarted;

    public ActorsBlock(SidecarContext context)
    {
        _context = context;
        IStateStore? store = context.States.ActorStore;
        _logger = context.Loggers.CreateLogger("Mesh.Sidecar.Actors");
        _directory = context.Shared.GetOrAdd("actors:directory", () => new ActorDirectory());
        ActorMetrics metrics = context.Shared.GetOrAdd("metrics:actors", () => new ActorMetrics());
        if (context.App is not null)
        {
            _host = new ActorHost(context, context.App, metrics, _logger) { Unreachable = AppLost };
            _timers = new Timers(_host, context.Clock, _logger);
            _host.Deactivated = _timers.Remove;
            if (store is not null) _reminders = new Reminders(_host, new ReminderStore(store, context.AppId, _logger), metrics, context.Clock, _logger);
        }

        var router = new ActorRouter(_directory, context.Clock);
        var state = new ActorState(_host, store, context.AppId);
        _endpoints = new ActorEndpoints(router, state, _host, _reminders, _timers, context.Options.BodyBytesMax);
        _grpc = new ActorGrpc(router, state, _host, _reminders, _timers);
    }

    /// <summary>What this sidecar hosts; null where it has no app.</summary>
    public ActorHost? Host => _host;

    public void MapHttp(IEndpointRouteBuilder routes) => _endpoints.Map(routes);

    public void BindGrpc(GrpcBinder grpc) => _grpc.Bind(grpc);

    public async Task StartAsync(CancellationToken cancellation)
    {
        if (_host is null)
        {
            _isStarted = true;
            return;
        }

        bool isHosting = await TryHostAsync(_host, cancellation);
        _isStarted = true;
        _timers!.Run();
        _reminders?.Run(WhenUp);
        _running = RunAsync(_host, isHosting);
    }

    /// <summary>The app's process is gone: none of its actors is active. Whoever restarts apps calls this; refused calls find out too.</summary>
    public void AppLost()
    {
        lock (_gate)
        {
            if (!_up.Task.IsCompleted) return; // known already, or not hosting yet

            _up = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _host!.Forget();
            _lost.TrySetResult();
        }
    }

    public void Describe(SidecarMetadata metadata)
    {
        Wire.ActiveActorsCount[] active = _host is null
            ? []
            : [.. _host.Counts().OrderBy(type => type.Key, StringComparer.Ordinal).Select(type => new Wire.ActiveActorsCount { Type = type.Key, Count = type.Value })];
        metadata.ActiveActors.AddRange(active);
        metadata.ActorRuntime = new Wire.ActorRuntime
        {
            RuntimeStatus = _isStarted ? Wire.ActorRuntime.Types.ActorRuntimeStatus.Running : Wire.ActorRuntime.Types.ActorRuntimeStatus.Initializing,
            ActiveActors = { active.Select(type => type.Clone()) },
            HostReady = _isStarted,
            Placement = _isStarted ? "placement: connected" : "",
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_host is null) return;

        _directory.Remove(_host);
        if (_reminders is not null) await _reminders.DisposeAsync(); // before the host, which then still lets their turns end
        await _timers!.DisposeAsync();
        await _host.DisposeAsync();
    }

    private Task WhenUp(CancellationToken cancellation)
    {
        lock (_gate) return _up.Task.WaitAsync(cancellation);
    }

    private async Task RunAsync(ActorHost host, bool isHosting)
    {
        Task scanning = ScanAsync(host);
        Task watching = WatchAsync(host);
        try
        {
            while (true)
            {
                if (isHosting) await Lost().WaitAsync(_stopping.Token);
                else await Task.Delay(RetryPause, _context.Clock, _stopping.Token);

                await _context.App!.WaitUntilListeningAsync(_stopping.Token);
                isHosting = await TryHostAsync(host, _stopping.Token);
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(scanning, watching).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private Task Lost()
    {
        lock (_gate) return _lost.Task;
    }

    /// <summary>
    /// Asks the app what it hosts and takes it on. Reminders are on the agenda before the first call is let in, so that none
    /// that is created meanwhile is taken for an old one.
    /// </summary>
    private async Task<bool> TryHostAsync(ActorHost host, CancellationToken cancellation)
    {
        try
        {
            ActorConfiguration configuration = await ReadConfigurationAsync(cancellation);
            if (_reminders is not null) await _reminders.LoadAsync(configuration.Types.Keys, cancellation);
            host.Configure(configuration);
            _directory.Register(host, configuration.Types.Keys);
            if (configuration.WantsReentrancy) Log.NoReentrancy(_logger, host.AppId);
            if (configuration.Types.Count > 0) Log.Hosting(_logger, host.AppId, string.Join(", ", configuration.Types.Keys));
            lock (_gate)
            {
                if (_lost.Task.IsCompleted) _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _up.TrySetResult();
            }

            return true;
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            Log.HostingFailed(_logger, host.AppId, RetryPause, failure.Message);
            return false;
        }
    }

    private async Task<ActorConfiguration> ReadConfigurationAsync(CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri("/dapr/config", UriKind.Relative));
        using HttpResponseMessage response = await _context.App!.SendAsync(request, cancellation);
        if (response.StatusCode != System.Net.HttpStatusCode.OK) return ActorConfiguration.None; // an app without actors need not know the path

        try
        {
            byte[] body = await response.Content.ReadAsByteArrayAsync(cancellation);
            return body.Length == 0 ? ActorConfiguration.None : ActorConfiguration.Parse(body);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            Log.BadConfiguration(_logger, _context.AppId, error.Message);
            return ActorConfiguration.None;
        }
    }

    private async Task ScanAsync(ActorHost host)
    {
        while (true)
        {
            await Task.Delay(host.Configuration.ScanInterval, _context.Clock, _stopping.Token);
            await host.DeactivateIdleAsync(_stopping.Token);
        }
    }

    /// <summary>Notices within seconds that the app is gone where no call does: it listens no more.</summary>
    private async Task WatchAsync(ActorHost host)
    {
        while (true)
        {
            await Task.Delay(WatchInterval, _context.Clock, _stopping.Token);
            await WhenUp(_stopping.Token);
            bool hasActors = host.Configuration.Types.Count > 0;
            if (hasActors && _context.Clock.GetUtcNow() - host.LastAnswer >= WatchInterval && !await IsListeningAsync()) AppLost();
        }
    }

    private async Task<bool> IsListeningAsync()
    {
        using var socket = new TcpClient();
        try
        {
            await socket.ConnectAsync(_context.Options.AppAddress, _context.Options.AppPort!.Value, _stopping.Token);
            return true;
        }
        catch (SocketException refused)
        {
            return refused.SocketErrorCode != SocketError.ConnectionRefused;
        }
    }
}
