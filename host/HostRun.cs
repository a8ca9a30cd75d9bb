using Mesh.Contracts;
using Mesh.Host.Data;
using Mesh.Host.Processes;
using Mesh.Host.Runtime;
using Mesh.Host.Topology;

namespace Mesh.Host;

/// <summary>What a run is made of.</summary>
internal sealed record HostRunParts(
    RunTemplate Template,
    IReadOnlyDictionary<string, AppPorts> Ports,
    DataDirectory Data,
    IDaprRuntime Runtime,
    bool Restart,
    string BinDirectory);

/// <summary>
/// One run of the mesh: sidecars first, then a supervised process for each app, and <c>run.json</c> true to both. Stopping goes
/// in the template's order, sidecars last, so that a service that is stopping can still reach its state and its broker.
/// </summary>
internal sealed class HostRun : IAsyncDisposable
{
    /// <summary>How long all apps together may take to stop before the rest is killed.</summary>
    public static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);

    // One app that hangs must not use up the patience of those after it.
    private static readonly TimeSpan StopPatienceEach = TimeSpan.FromSeconds(4);

    private readonly HostRunParts _parts;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly DateTimeOffset _startedAt;
    private readonly List<RunningApp> _apps;
    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false });

    public HostRun(HostRunParts parts, PrefixedOutput output, TimeProvider clock, ILogger logger)
    {
        _parts = parts;
        _clock = clock;
        _logger = logger;
        _startedAt = clock.GetUtcNow();
        var probe = new ReadinessProbe(_http, clock, logger);
        _apps = [.. parts.Template.Apps.Select(app => new RunningApp(app, parts.Ports[app.AppId], probe, parts.Runtime, Publish))];
        foreach (RunningApp app in _apps.Where(app => app.Template.Command.Count > 0))
        {
            app.Process = new SupervisedProcess(
                new SupervisedProcessOptions
                {
                    Name = app.Template.AppId,
                    StartInfo = () => AppCommand.StartInfo(app.Template, app.Ports, parts.BinDirectory),
                    Restart = parts.Restart,
                    Started = pid =>
                    {
                        Log.Started(logger, app.Template.AppId, pid);
                        app.OnStarted(pid);
                    },
                    Died = _ => app.OnDied(),
                },
                output, clock, logger);
        }
    }

    /// <summary>The run as <c>run.json</c> tells it.</summary>
    public RunState State => new(
        Environment.ProcessId, _startedAt, _apps.Find(app => app.Template.AppId == AppIds.Gateway)?.Url ?? "", _parts.Data.FullPath,
        [.. _apps.Select(app => app.Describe(_parts.Runtime.SidecarPid(app.Template.AppId)))]);

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (RunningApp app in _apps) await _parts.Runtime.StartAsync(app.Template, app.Ports, cancellation);
        Publish();
        foreach (RunningApp app in _apps)
        {
            if (app.Process is { } process)
            {
                process.Start();
                continue;
            }

            Log.External(_logger, app.Template.AppId, app.Ports.App);
            app.OnStarted(pid: 0);
        }
    }

    /// <summary>Returns once every app has been ready at one time or another since its last start.</summary>
    public Task WaitUntilReadyAsync(CancellationToken cancellation) =>
        Task.WhenAll(_apps.Select(app => app.WaitUntilReadyAsync(cancellation)));

    /// <summary>Writes <c>run.json</c> anew.</summary>
    public void Publish() => _parts.Data.Run.Write(() => State);

    /// <summary>Stops the apps in order, kills what is left after <see cref="StopPatience"/>, then stops the sidecars.</summary>
    public async Task StopAsync()
    {
        List<SupervisedProcess> processes = [.. _apps.Select(app => app.Process).OfType<SupervisedProcess>()];
        if (processes.Count > 0) Log.Stopping(_logger, processes.Count, processes[0].Name);

        foreach (SupervisedProcess process in processes) process.StartNoMore();
        long started = _clock.GetTimestamp();
        var late = new List<SupervisedProcess>();
        foreach (SupervisedProcess process in processes)
        {
            TimeSpan left = StopPatience - _clock.GetElapsedTime(started);
            TimeSpan patience = left < StopPatienceEach ? left : StopPatienceEach;
            if (!await process.StopAsync(patience > TimeSpan.Zero ? patience : TimeSpan.Zero)) late.Add(process);
        }

        foreach (SupervisedProcess process in late)
        {
            TimeSpan left = StopPatience - _clock.GetElapsedTime(started);
            if (left > TimeSpan.Zero && await process.StopAsync(left)) continue;
            Log.Killed(_logger, process.Name);
            await process.DisposeAsync();
        }

        foreach (RunningApp app in _apps) await app.StopProbingAsync(); // it talks to the sidecars
        await _parts.Runtime.DisposeAsync();
        _parts.Data.Run.Delete();
        Log.Stopped(_logger);
    }

    /// <summary>Kills every app now.</summary>
    public void Kill()
    {
        foreach (RunningApp app in _apps) app.Process?.Kill();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RunningApp app in _apps) await app.DisposeAsync();
        _http.Dispose();
    }
}
