using System.Net;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http.Features;

namespace Mesh.Sidecar.Runtime;

/// <summary>Reading requests the way Dapr's HTTP face does.</summary>
public static class ApiRequests
{
    private const string MetadataPrefix = "metadata.";
    private const long MaxGuess = 1024 * 1024;

    /// <summary>
    /// A segment of the path as the caller meant it: taken from the raw request line, as the server has by then decoded
    /// some escapes and not others. Segment 0 is <c>v1.0</c>.
    /// </summary>
    public static string PathSegment(this HttpContext context, int index)
    {
        ArgumentNullException.ThrowIfNull(context);
        string raw = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (!raw.StartsWith('/'))
        {
            // The absolute form of a request line.
            int authority = raw.IndexOf("://", StringComparison.Ordinal);
            int path = authority < 0 ? -1 : raw.IndexOf('/', authority + 3);
            raw = path < 0 ? "/" : raw[path..];
        }

        int query = raw.IndexOf('?', StringComparison.Ordinal);
        string[] segments = (query < 0 ? raw : raw[..query]).Split('/', StringSplitOptions.RemoveEmptyEntries);
        return index < segments.Length ? WebUtility.UrlDecode(segments[index]) : "";
    }

    /// <summary>The query parameters <c>metadata.x=y</c>, without their prefix.</summary>
    public static Dictionary<string, string> QueryMetadata(this HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.Query
            .Where(pair => pair.Key.StartsWith(MetadataPrefix, StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[MetadataPrefix.Length..], pair => pair.Value[0] ?? "", StringComparer.Ordinal);
    }

    /// <summary>The body as JSON.</summary>
    /// <exception cref="DaprApiException"><c>ERR_MALFORMED_REQUEST</c>: it is none.</exception>
    public static async Task<JsonDocument> ReadJsonAsync(this HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        using var body = new MemoryStream((int)Math.Min(request.ContentLength ?? 0, MaxGuess));
        await request.Body.CopyToAsync(body, request.HttpContext.RequestAborted);
        var bytes = new ReadOnlyMemory<byte>(body.GetBuffer(), 0, (int)body.Length);
        // The parser leaves strings alone until they are read; a broken one would then be our failure and not the caller's.
        if (!Utf8.IsValid(bytes.Span)) throw ApiErrors.MalformedRequest("the body is not valid UTF-8");
        try
        {
            return JsonDocument.Parse(bytes);
        }
        catch (JsonException error)
        {
            throw ApiErrors.MalformedRequest(error.Message);
        }
    }
}
