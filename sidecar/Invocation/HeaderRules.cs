using System.Collections.Frozen;
using System.Net.Http.Headers;
using Microsoft.Extensions.Primitives;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// Which headers pass a sidecar, both ways: all but the hop-by-hop ones (RFC 9110, 7.6.1, those that Connection names
/// included), those that this hop sets itself, and the callers' tokens for their own sidecars.
/// </summary>
internal static class HeaderRules
{
    private static readonly string[] HopByHop =
    [
        "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "TE", "Trailer",
        "Proxy-Authorization", "Proxy-Authenticate",
    ];

    private static readonly FrozenSet<string> NotInRequests = HopByHop
        .Concat(["Host", "Content-Length", "Expect", InvocationTarget.AppIdHeader, "dapr-api-token", "destination-app-id",
            CallerIdentity.CallerAppId, CallerIdentity.CallerNamespace, CallerIdentity.CalleeAppId])
        .ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenSet<string> NotInResponses = HopByHop.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    public static void CopyRequest(IHeaderDictionary from, HttpRequestMessage to)
    {
        StringValues connection = from.Connection;
        foreach ((string name, StringValues values) in from)
        {
            if (NotInRequests.Contains(name) || IsNamedBy(connection, name)) continue;

            foreach (string? value in values) Add(to, name, value);
        }
    }

    /// <summary>Headers that are about the content live beside the content; a request without one gets an empty one for them.</summary>
    public static void Add(HttpRequestMessage request, string name, string? value)
    {
        if (request.Headers.TryAddWithoutValidation(name, value)) return;

        request.Content ??= new ReadOnlyMemoryContent(ReadOnlyMemory<byte>.Empty);
        request.Content.Headers.TryAddWithoutValidation(name, value);
    }

    /// <summary>True for gRPC metadata and the like that must not be sent on as HTTP headers.</summary>
    public static bool IsNotForwarded(string name) =>
        NotInRequests.Contains(name) || name.StartsWith(':') || name.StartsWith("grpc-", StringComparison.OrdinalIgnoreCase)
        || name.EndsWith("-bin", StringComparison.OrdinalIgnoreCase);

    public static void CopyResponse(HttpResponseMessage from, IHeaderDictionary to)
    {
        string[] connection = [.. from.Headers.Connection];
        Copy(from.Headers.NonValidated, connection, to);
        Copy(from.Content.Headers.NonValidated, connection, to);
    }

    private static void Copy(HttpHeadersNonValidated from, string[] connection, IHeaderDictionary to)
    {
        foreach ((string name, HeaderStringValues values) in from)
        {
            if (NotInResponses.Contains(name) || connection.Contains(name, StringComparer.OrdinalIgnoreCase)) continue;

            to[name] = values.Count == 1 ? new StringValues(values.ToString()) : new StringValues([.. values]);
        }
    }

    private static bool IsNamedBy(StringValues connection, string name)
    {
        foreach (string? line in connection)
        {
            foreach (Range part in line.AsSpan().Split(','))
            {
                if (line.AsSpan(part).Trim().Equals(name, StringComparison.OrdinalIgnoreCase)) return true;
            }
        }

        return false;
    }
}
