using System.Text;
using Microsoft.AspNetCore.Http.Features;

namespace Mesh.Sidecar.Invocation;

/// <summary>Whom a request calls, and what there: parsed from <c>/v1.0/invoke/{id}/method/{path}</c>, a header, or basic authentication.</summary>
/// <param name="AppId">As the caller wrote it, a <c>.namespace</c> suffix included.</param>
/// <param name="PathAndQuery">Starts with one slash; percent-encoding is left as it came.</param>
internal readonly record struct InvocationTarget(string AppId, string PathAndQuery)
{
    public const string AppIdHeader = "dapr-app-id";
    private const string Prefix = "/v1.0/invoke/";
    private const string MethodPart = "/method/";
    private const string BasicScheme = "Basic ";

    /// <summary>False where neither the path nor a header names an app.</summary>
    public static bool TryParse(HttpRequest request, out InvocationTarget target)
    {
        string raw = RawPathAndQuery(request);
        if (request.Headers.TryGetValue(AppIdHeader, out var header) && header.ToString() is { Length: > 0 } named)
        {
            target = new InvocationTarget(named, Rooted(raw));
            return true;
        }

        if (FromBasicAuthentication(request.Headers.Authorization.ToString()) is { } id)
        {
            target = new InvocationTarget(id, Rooted(raw));
            return true;
        }

        return TryParsePath(raw, out target);
    }

    private static bool TryParsePath(string raw, out InvocationTarget target)
    {
        target = default;
        if (!raw.StartsWith(Prefix, StringComparison.Ordinal)) return false;

        int end = raw.IndexOf('?', StringComparison.Ordinal);
        ReadOnlySpan<char> path = end < 0 ? raw : raw.AsSpan(0, end);
        int method = path[Prefix.Length..].IndexOf(MethodPart, StringComparison.Ordinal);
        if (method <= 0) return false;

        string appId = Uri.UnescapeDataString(raw.AsSpan(Prefix.Length, method));
        target = new InvocationTarget(appId, Rooted(raw.AsSpan(Prefix.Length + method + MethodPart.Length)));
        return true;
    }

    // One leading slash and never two: "//host/path" would be read as an address of its own.
    private static string Rooted(ReadOnlySpan<char> path) => string.Concat("/", path.TrimStart('/'));

    private static string RawPathAndQuery(HttpRequest request)
    {
        string raw = request.HttpContext.Features.Get<IHttpRequestFeature>()!.RawTarget;
        return raw.StartsWith('/') || !Uri.TryCreate(raw, UriKind.Absolute, out Uri? absolute) ? raw : absolute.PathAndQuery;
    }

    /// <summary><c>http://dapr-app-id:{id}@localhost:3500/path</c>, for tools that can set nothing but a URL.</summary>
    private static string? FromBasicAuthentication(string authorization)
    {
        if (!authorization.StartsWith(BasicScheme, StringComparison.Ordinal)) return null;

        byte[] decoded = new byte[authorization.Length];
        if (!Convert.TryFromBase64String(authorization[BasicScheme.Length..], decoded, out int length)) return null;

        string[] pair = Encoding.UTF8.GetString(decoded, 0, length).Split(':');
        return pair.Length == 2 && pair[1].Length > 0 && pair[0].Equals(AppIdHeader, StringComparison.OrdinalIgnoreCase) ? pair[1] : null;
    }
}
