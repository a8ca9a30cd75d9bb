using System.Diagnostics;
using System.Text.Json;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>The HTTP face: <c>/v1.0/publish/{pubsub}/{topic}</c> and its bulk sisters. A topic may contain slashes.</summary>
internal sealed class PublishHttp(Publisher publisher)
{
    private static readonly string[] Methods = [HttpMethods.Post, HttpMethods.Put];

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/v1.0/publish/bulk/{pubsub}/{**topic}", Methods, PublishBulkAsync);
        routes.MapMethods("/v1.0-alpha1/publish/bulk/{pubsub}/{**topic}", Methods, PublishBulkAsync);
        routes.MapMethods("/v1.0/publish/{pubsub}/{**topic}", Methods, PublishAsync);
    }

    private async Task PublishAsync(HttpContext http)
    {
        (PubSubComponent component, string topic) = Target(http);
        RequestMetadata metadata = new(http.Request.QueryMetadata());
        bool raw = Publisher.RawPayload(metadata);
        var entry = new PublishEntry("", await ReadBodyAsync(http.Request, http.RequestAborted), http.Request.ContentType ?? "", metadata);
        IReadOnlyDictionary<int, string> failed = await publisher.PublishAsync(
            component, topic, [entry], raw, Tracing.Of(http.Request.Headers), http.RequestAborted);
        if (failed.Count > 0) throw PubSubErrors.Publish(topic, component.Name, failed[0]);
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task PublishBulkAsync(HttpContext http)
    {
        (PubSubComponent component, string topic) = Target(http);
        RequestMetadata metadata = new(http.Request.QueryMetadata());
        bool raw = Publisher.RawPayload(metadata);
        IReadOnlyList<PublishEntry> entries = await ReadEntriesAsync(http.Request, topic, component.Name, metadata, http.RequestAborted);
        IReadOnlyDictionary<int, string> failed;
        try
        {
            failed = await publisher.PublishAsync(component, topic, entries, raw, Tracing.Of(http.Request.Headers), http.RequestAborted);
        }
        catch (DaprApiException error) when (error.ErrorCode == PubSubErrors.PublishCode)
        {
            failed = Enumerable.Range(0, entries.Count).ToDictionary(i => i, _ => error.Message);
        }

        if (failed.Count == 0)
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        var body = new
        {
            failedEntries = failed.Select(fault => new { entryId = entries[fault.Key].EntryId, error = fault.Value }),
            errorCode = PubSubErrors.PublishCode,
        };
        http.Response.StatusCode = StatusCodes.Status500InternalServerError;
        http.Response.ContentType = "application/json";
        await http.Response.BodyWriter.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(body), http.RequestAborted);
    }

    private (PubSubComponent Component, string Topic) Target(HttpContext http)
    {
        string topic = Text(http, "topic");
        return (publisher.Authorize(Text(http, "pubsub"), topic), topic);
    }

    // The server has decoded the path but for escaped slashes.
    private static string Text(HttpContext http, string name) =>
        (http.Request.RouteValues[name] as string ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

    private static async Task<IReadOnlyList<PublishEntry>> ReadEntriesAsync(
        HttpRequest request, string topic, string pubsub, RequestMetadata metadata, CancellationToken cancellation)
    {
        try
        {
            using JsonDocument document = await JsonDocument.ParseAsync(
                request.Body, new JsonDocumentOptions { AllowTrailingCommas = true }, cancellation);
            var ids = new HashSet<string>(StringComparer.Ordinal);
            var entries = new List<PublishEntry>();
            if (document.RootElement.ValueKind != JsonValueKind.Array) throw new JsonException("the body must be a JSON array of entries");
            foreach (JsonElement entry in document.RootElement.EnumerateArray())
            {
                PublishEntry read = BulkEntryJson.Read(entry, topic, pubsub, metadata);
                if (read.EntryId.Length == 0 || !ids.Add(read.EntryId)) throw PubSubErrors.EntryIds(topic, pubsub);
                entries.Add(read);
            }

            return entries;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw PubSubErrors.Request(topic, pubsub, exception.Message);
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReadBodyAsync(HttpRequest request, CancellationToken cancellation)
    {
        using var body = new MemoryStream((int)Math.Clamp(request.ContentLength ?? 0, 0, 64 * 1024 * 1024));
        await request.Body.CopyToAsync(body, cancellation);
        return body.GetBuffer().AsMemory(0, (int)body.Length);
    }
}

/// <summary>Trace context of a caller. Where it sent none, the event starts a trace of its own.</summary>
internal static class Tracing
{
    public static TraceContext Of(IHeaderDictionary headers) => Of(headers.TraceParent.ToString(), headers.TraceState.ToString());

    public static TraceContext Of(string? traceParent, string? traceState) =>
        ActivityContext.TryParse(traceParent, traceState, out _) ? new TraceContext(traceParent!, traceState ?? "") : new TraceContext(Start(), "");

    private static string Start() => $"00-{ActivityTraceId.CreateRandom().ToHexString()}-{ActivitySpanId.CreateRandom().ToHexString()}-00";
}
