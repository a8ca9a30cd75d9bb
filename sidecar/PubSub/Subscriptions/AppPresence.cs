using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>
/// Whether the app is there. Deliveries that did not reach it wait here, all on one probe, and go on together once it listens
/// again; its subscriptions are then read anew.
/// </summary>
internal sealed class AppPresence(SidecarContext context, ILogger logger)
{
    private static readonly TimeSpan SettlingPause = TimeSpan.FromMilliseconds(100);
    private readonly Lock _gate = new();
    private Task? _waiting;

    /// <summary>Called each time the app is back, before deliveries go on.</summary>
    public event Action? Back;

    /// <summary>Returns once the app listens again.</summary>
    public async Task WaitUntilBackAsync(CancellationToken stopping, CancellationToken cancellation)
    {
        Task waiting;
        lock (_gate)
        {
            if (_waiting is null or { IsCompleted: true })
            {
                Log.AppGone(logger, context.AppId);
                _waiting = WaitAsync(stopping);
            }

            waiting = _waiting;
        }

        await waiting.WaitAsync(cancellation);
    }

    private async Task WaitAsync(CancellationToken stopping)
    {
        // A short pause first: a process that is being killed may accept a last connection.
        await Task.Delay(SettlingPause, context.Clock, stopping);
        await context.App!.WaitUntilListeningAsync(stopping);
        Log.AppBack(logger, context.AppId);
        Back?.Invoke();
    }
}
