using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>Brings a call to the sidecar whose app hosts the actor, this one or another of the process.</summary>
internal sealed class ActorRouter(ActorDirectory directory, TimeProvider clock)
{
    /// <summary>How long a call waits for an app to come up that hosts the type: what daprd's built-in retries amount to.</summary>
    private static readonly TimeSpan HostWaitMax = TimeSpan.FromSeconds(5);

    /// <inheritdoc cref="ActorHost.InvokeAsync"/>
    public async Task<ActorAnswer> InvokeAsync(ActorKey actor, HttpRequestMessage request, CancellationToken caller)
    {
        ActorHost host = directory.Find(actor) ?? await WaitForHostAsync(actor, caller);
        try
        {
            return await host.InvokeAsync(actor, request, caller);
        }
        catch (AppUnreachableException failure)
        {
            throw ActorErrors.Invoke(failure.Message);
        }
    }

    private async Task<ActorHost> WaitForHostAsync(ActorKey actor, CancellationToken caller)
    {
        using var limit = new CancellationTokenSource(HostWaitMax, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, caller);
        try
        {
            while (true)
            {
                Task changed = directory.Changed;
                if (directory.Find(actor) is { } host) return host;
                await changed.WaitAsync(either.Token);
            }
        }
        catch (OperationCanceledException) when (!caller.IsCancellationRequested)
        {
            throw ActorErrors.NoAddress(actor);
        }
    }
}
