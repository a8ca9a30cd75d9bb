using Mesh.Host.Topology;

namespace Mesh.Host.Runtime;

/// <summary>Serves the Dapr API to the apps: in this process, or by a daprd for each.</summary>
internal interface IDaprRuntime : IAsyncDisposable
{
    /// <summary>Opens the ports of one app's sidecar. The app need not run yet.</summary>
    Task StartAsync(AppTemplate app, AppPorts ports, CancellationToken cancellation);

    /// <summary>An app's process has ended. Returns at once.</summary>
    void AppExited(string appId);

    /// <summary>An app that was started again is ready.</summary>
    Task AppRestartedAsync(string appId, CancellationToken cancellation);

    /// <summary>Process id of an app's sidecar; 0 where it lives in this process.</summary>
    int SidecarPid(string appId);
}

/// <summary>The sidecars cannot run as asked; the message says what to do.</summary>
internal sealed class RuntimeException(string message) : Exception(message);
