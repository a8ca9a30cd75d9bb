using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Mesh.Hosting;

/// <summary>
/// Where <c>APP_API_TOKEN</c> is set, only the sidecar that shares it may call: it sends the token in
/// <c>dapr-api-token</c>. Health and metrics stay open.
/// </summary>
public sealed class AppApiToken(RequestDelegate next)
{
    private readonly byte[]? _expected =
        Environment.GetEnvironmentVariable("APP_API_TOKEN") is { Length: > 0 } token ? Encoding.UTF8.GetBytes(token) : null;

    public Task InvokeAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (_expected is null || IsOpen(context.Request.Path)) return next(context);

        byte[] given = Encoding.UTF8.GetBytes(context.Request.Headers["dapr-api-token"].ToString());
        if (CryptographicOperations.FixedTimeEquals(given, _expected)) return next(context);

        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        return Task.CompletedTask;
    }

    private static bool IsOpen(PathString path) => path == "/healthz" || path == "/readyz" || path == "/metrics";
}
