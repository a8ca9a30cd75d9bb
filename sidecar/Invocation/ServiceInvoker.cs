using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// Finds the callee and sends it a request, with a short wait for one that is restarting (<see cref="ConnectRetry"/>).
/// </summary>
internal sealed class ServiceInvoker(SidecarContext context, ILogger logger)
{
    // A request that an app forwards with all its headers carries one Forwarded entry for each sidecar it passed.
    private const int HopsMax = 32;
    private readonly string _namespace = context.Options.Namespace ?? CallerIdentity.DefaultNamespace;

    /// <summary>Sends a request with a URI relative to the callee; the caller disposes the response, whose body may still stream.</summary>
    /// <exception cref="DaprApiException">No such app, or it does not answer.</exception>
    public async Task<HttpResponseMessage> SendAsync(string targetId, HttpRequestMessage request, CancellationToken cancellation)
    {
        string appId = AppIdOf(targetId);
        AppChannel app = Find(targetId, appId);
        int hops = Hops(request);
        if (hops >= HopsMax) throw InvocationErrors.Failed(targetId, $"the request has passed {hops} sidecars, it goes in circles");

        CallerIdentity.Stamp(request, _namespace, context.AppId, appId);
        try
        {
            return await ConnectRetry.SendAsync(
                app, request, context.Clock, (attempt, reason) => Log.Retrying(logger, appId, attempt, reason), cancellation);
        }
        catch (HttpRequestException failed) when (RequestFault(failed) is null)
        {
            throw ConnectRetry.IsNotConnected(failed)
                ? InvocationErrors.Unreachable(targetId, ConnectRetry.RetriesMax, failed.Message)
                : InvocationErrors.Failed(targetId, failed.InnerException?.Message ?? failed.Message);
        }
    }

    /// <summary>The caller's own fault (a body over the limit, a broken upload) that made sending fail; null where there is none.</summary>
    public static BadHttpRequestException? RequestFault(Exception failure)
    {
        for (Exception? inner = failure; inner is not null; inner = inner.InnerException)
        {
            if (inner is BadHttpRequestException fault) return fault;
        }

        return null;
    }

    // One Forwarded header or several, each with one entry or several: clients and proxies join them as they like.
    private static int Hops(HttpRequestMessage request) =>
        request.Headers.NonValidated.TryGetValues("Forwarded", out var values) ? values.Sum(value => 1 + value.AsSpan().Count(',')) : 0;

    /// <summary><c>app</c> or <c>app.namespace</c>.</summary>
    private string AppIdOf(string targetId)
    {
        int dot = targetId.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0) return targetId;

        ReadOnlySpan<char> space = targetId.AsSpan(dot + 1);
        if (space.Contains('.')) throw InvocationErrors.Failed(targetId, $"invalid app id {targetId}");
        return space.Equals(_namespace, StringComparison.Ordinal) ? targetId[..dot] : throw InvocationErrors.UnknownApp(targetId);
    }

    private AppChannel Find(string targetId, string appId)
    {
        if (targetId.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || targetId.StartsWith("https://", StringComparison.OrdinalIgnoreCase))
        {
            throw InvocationErrors.Failed(targetId, "calls to addresses outside the mesh need the real daprd (run the host with --runtime dapr)");
        }

        if (appId == context.AppId) return context.App ?? throw InvocationErrors.Failed(targetId, "cannot invoke local endpoint: app channel not initialized");
        if (!context.Shared.Sidecars.TryGetValue(appId, out SidecarServer? sidecar)) throw Unknown(targetId);
        return sidecar.Context.App ?? throw InvocationErrors.Failed(targetId, "app channel is not initialized");
    }

    private DaprApiException Unknown(string targetId) => context.Shared.Sidecars.Count > 1
        ? InvocationErrors.UnknownApp(targetId)
        : InvocationErrors.Failed(
            targetId, $"couldn't find service: {targetId}. No other sidecar runs in this process, and apps of other processes are found by the real daprd only");
}
