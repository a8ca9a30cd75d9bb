namespace Mesh.Sidecar.Health;

/// <summary>
/// Readiness of one sidecar. Outbound calls (state, publish, invoke) work from the moment its ports are open, so that an
/// app may wait for them before it listens; the whole is ready when the app listens and every block is set up.
/// </summary>
public sealed class SidecarHealth
{
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _shutdown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile string _waitsFor = "app";

    /// <summary>Completes when the sidecar is ready; fails where a block could not be set up.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Completes when the API asked the sidecar to stop (<c>POST /v1.0/shutdown</c>). Whoever runs it then stops it.</summary>
    public Task ShutdownRequested => _shutdown.Task;

    public bool IsReady => _ready.Task.IsCompletedSuccessfully;

    /// <summary>What readiness still waits for.</summary>
    public string WaitsFor => _waitsFor;

    public void WaitFor(string what) => _waitsFor = what;

    public void BecomeReady() => _ready.TrySetResult();

    public void Fail(Exception error) => _ready.TrySetException(error);

    public void RequestShutdown() => _shutdown.TrySetResult();
}
