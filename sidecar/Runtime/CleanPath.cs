using Microsoft.AspNetCore.Http.Features;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// Takes <c>//v1.0//state</c> for <c>/v1.0/state</c>, as daprd does. The .NET SDK's actor client needs it: its default endpoint
/// ends in a slash and its paths are joined with another.
/// </summary>
internal sealed class CleanPath(RequestDelegate next)
{
    public Task InvokeAsync(HttpContext context)
    {
        if (context.Request.Path.Value is { } path && path.Contains("//", StringComparison.Ordinal))
        {
            IHttpRequestFeature request = context.Features.GetRequiredFeature<IHttpRequestFeature>();
            request.Path = Collapse(path);

            // Ids are read from the raw target, where they are still percent-encoded; a query may hold what it likes.
            int query = request.RawTarget.IndexOf('?', StringComparison.Ordinal);
            request.RawTarget = query < 0
                ? Collapse(request.RawTarget)
                : Collapse(request.RawTarget[..query]) + request.RawTarget[query..];
        }

        return next(context);
    }

    private static string Collapse(string path)
    {
        while (path.Contains("//", StringComparison.Ordinal)) path = path.Replace("//", "/", StringComparison.Ordinal);
        return path;
    }
}
