using System.Security.Cryptography;
using System.Text;
using Grpc.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// Where the sidecar has an API token, every call must bring it in <c>dapr-api-token</c>; the health endpoints are open.
/// The token is taken off, so that it travels no further.
/// </summary>
internal sealed class ApiTokenCheck(RequestDelegate next, SidecarOptions options)
{
    public const string Header = "dapr-api-token";
    private readonly byte[] _expected = Encoding.UTF8.GetBytes(options.ApiToken ?? "");

    public async Task InvokeAsync(HttpContext context)
    {
        string? given = context.Request.Headers[Header];
        bool ok = given is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), _expected);
        if (!ok && !IsOpen(context.Request))
        {
            await RefuseAsync(context, given is null);
            return;
        }

        context.Request.Headers.Remove(Header);
        await next(context);
    }

    private static bool IsOpen(HttpRequest request) =>
        HttpMethods.IsGet(request.Method) && request.Path.Value?.Trim('/') is "v1.0/healthz" or "v1.0/healthz/outbound";

    private static Task RefuseAsync(HttpContext context, bool missing)
    {
        if (!IsGrpc(context.Request))
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return context.Response.WriteAsync("invalid api token\n");
        }

        // A gRPC caller reads its status from the headers, the HTTP status being 200.
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = ((int)StatusCode.Unauthenticated).ToString(System.Globalization.CultureInfo.InvariantCulture);
        context.Response.Headers["grpc-message"] = missing ? "missing api token in request metadata" : "authentication error: api token mismatch";
        return Task.CompletedTask;
    }

    private static bool IsGrpc(HttpRequest request) =>
        request.ContentType?.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase) ?? false;
}
