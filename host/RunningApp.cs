using Mesh.Host.Data;
using Mesh.Host.Processes;
using Mesh.Host.Runtime;
using Mesh.Host.Topology;

namespace Mesh.Host;

/// <summary>
/// One app of a run: its process, and whether it has become ready since that process started. Its sidecar, which outlives the
/// process, is told of the end of one and of the readiness of the next.
/// </summary>
internal sealed class RunningApp(
    AppTemplate template, AppPorts ports, ReadinessProbe probe, IDaprRuntime runtime, Action changed) : IAsyncDisposable
{
    private readonly Lock _gate = new(); // guards the fields below: written by the supervising task and the probe, read for run.json
    private TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenSource _probing = new();
    private Task _probe = Task.CompletedTask;
    private int _starts;
    private int _pid;
    private DateTimeOffset? _processStartedAt;

    public AppTemplate Template => template;

    public AppPorts Ports => ports;

    /// <summary>Null where the template has no command for it.</summary>
    public SupervisedProcess? Process { get; set; }

    public string Url => template.AppPort is null ? "" : $"http://localhost:{ports.App}";

    public RunApp Describe(int daprdPid)
    {
        lock (_gate)
        {
            return new RunApp(
                template.AppId, _pid, _processStartedAt, Url, ports.DaprHttp, ports.DaprGrpc, _ready.Task.IsCompletedSuccessfully,
                daprdPid, daprdPid == 0 ? null : Orphans.StartOf(daprdPid));
        }
    }

    public Task WaitUntilReadyAsync(CancellationToken cancellation)
    {
        lock (_gate) return _ready.Task.WaitAsync(cancellation);
    }

    /// <summary>A process has started: what was known of readiness is void.</summary>
    public void OnStarted(int pid)
    {
        lock (_gate)
        {
            _pid = pid;
            _processStartedAt = pid == 0 ? null : Orphans.StartOf(pid);
            _probing = new CancellationTokenSource();
            _probe = ProbeAsync(isRestart: _starts++ > 0, _probing.Token);
        }

        changed();
    }

    public void OnDied()
    {
        runtime.AppExited(template.AppId);
        lock (_gate)
        {
            _probing.Cancel();
            _pid = 0;
            _processStartedAt = null;
            if (_ready.Task.IsCompleted) _ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed();
    }

    /// <summary>Asks no more whether it is ready. For when no process is started any more.</summary>
    public async Task StopProbingAsync()
    {
        await _probing.CancelAsync();
        await _probe;
    }

    public async ValueTask DisposeAsync()
    {
        await StopProbingAsync();
        if (Process is not null) await Process.DisposeAsync();
        _probing.Dispose();
    }

    private async Task ProbeAsync(bool isRestart, CancellationToken cancellation)
    {
        await Task.Yield(); // off the lock of the caller
        try
        {
            // An app without a port cannot be asked; running is all it can be.
            if (template.AppPort is not null) await probe.WaitAsync(template, $"http://127.0.0.1:{ports.App}", cancellation);
            lock (_gate)
            {
                if (cancellation.IsCancellationRequested) return; // it died between its answer and now
                _ready.TrySetResult();
            }

            changed();
            if (isRestart) await runtime.AppRestartedAsync(template.AppId, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // It died, or everything stops.
        }
    }
}
