using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Access;

/// <summary>
/// Where keys are configured, everything under /v1 needs one of them in X-Api-Key. Health, metrics and the sidecar's own
/// routes stay open: they hold nothing of a user.
/// </summary>
internal sealed class ApiKeys(RequestDelegate next, IOptions<GatewayOptions> options, IProblemDetailsService problems)
{
    public const string Header = "X-Api-Key";

    // Compared as hashes, so that neither the length of a key nor its first characters show in the time taken.
    private readonly byte[][] _hashes = [.. options.Value.ApiKeys.Select(Hash)];

    public Task InvokeAsync(HttpContext context)
    {
        if (_hashes.Length == 0 || !context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase) || IsKnown(context.Request.Headers[Header].ToString()))
            return next(context);

        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        context.Response.Headers.WWWAuthenticate = "ApiKey";
        string detail = context.Request.Headers.ContainsKey(Header) ? $"The key in {Header} is not known." : $"Send a key in {Header}.";
        return problems.WriteAsync(
            new ProblemDetailsContext { HttpContext = context, ProblemDetails = new ProblemDetails { Status = StatusCodes.Status401Unauthorized, Detail = detail } }).AsTask();
    }

    private bool IsKnown(string key)
    {
        byte[] given = Hash(key);
        bool isKnown = false;
        foreach (byte[] hash in _hashes) isKnown |= CryptographicOperations.FixedTimeEquals(given, hash);
        return isKnown;
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
