using System.Globalization;
using System.Text;
using System.Text.Json;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>The state API over HTTP. Values are JSON on the way in and raw bytes on the way out.</summary>
internal sealed class StateHttp(StateStores stores)
{
    private const string TtlExpireTime = "ttlExpireTime";
    private static readonly string[] PostOrPut = [HttpMethods.Post, HttpMethods.Put];

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1.0/state/{store}/{key}", Get);
        routes.MapDelete("/v1.0/state/{store}/{key}", Delete);
        routes.MapMethods("/v1.0/state/{store}", PostOrPut, Save);
        routes.MapMethods("/v1.0/state/{store}/bulk", PostOrPut, GetBulk);
        routes.MapMethods("/v1.0/state/{store}/transaction", PostOrPut, Transact);
        routes.MapMethods("/v1.0-alpha1/state/{store}/query", PostOrPut, Query);
    }

    /// <summary>When a value expires, as response metadata says it.</summary>
    public static string FormatTime(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private StateApi Store(HttpContext http) => StateApi.Of(stores, http.PathSegment(2));

    private async Task Get(HttpContext http)
    {
        StateItem? item = await Store(http).GetAsync(http.PathSegment(3), http.Request.Query["consistency"].ToString(), http.RequestAborted);
        if (item is null)
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        http.Response.Headers.ETag = item.ETag;
        if (item.ExpiresAt is { } expires) http.Response.Headers["metadata." + TtlExpireTime] = FormatTime(expires);
        http.Response.ContentType = "application/json";
        http.Response.ContentLength = item.Value.Length;
        await http.Response.BodyWriter.WriteAsync(item.Value, http.RequestAborted);
    }

    private async Task Delete(HttpContext http)
    {
        await Store(http).DeleteAsync(
            new StateOperation(http.PathSegment(3))
            {
                ETag = http.Request.Headers.IfMatch,
                Concurrency = http.Request.Query["concurrency"].ToString(),
                Consistency = http.Request.Query["consistency"].ToString(),
                Metadata = http.Request.QueryMetadata(),
            },
            http.RequestAborted);
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task Save(HttpContext http)
    {
        StateApi store = Store(http);
        using JsonDocument body = await http.Request.ReadJsonAsync();
        if (body.RootElement.ValueKind != JsonValueKind.Array) throw StateErrors.Malformed("the body must be an array of states");

        Dictionary<string, string> metadata = http.Request.QueryMetadata();
        List<StateOperation> operations = [.. body.RootElement.EnumerateArray().Select(item => ReadOperation(item, metadata, isDelete: false))];
        if (operations.Any(operation => operation.Key.Length == 0)) throw StateErrors.EmptyKey();

        if (operations.Count > 0) await store.SaveAsync(operations, http.RequestAborted);
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task GetBulk(HttpContext http)
    {
        StateApi store = Store(http);
        using JsonDocument body = await http.Request.ReadJsonAsync();
        List<string> keys = body.RootElement.ValueKind == JsonValueKind.Object && Find(body.RootElement, "keys") is { ValueKind: JsonValueKind.Array } list
            ? [.. list.EnumerateArray().Select(key => Text(key, "keys"))]
            : [];
        IReadOnlyList<StateItem?> items = await store.GetBulkAsync(keys, http.RequestAborted);

        http.Response.ContentType = "application/json";
        await using var json = new Utf8JsonWriter(http.Response.BodyWriter, new JsonWriterOptions { SkipValidation = true });
        json.WriteStartArray();
        for (int i = 0; i < keys.Count; i++) WriteItem(json, keys[i], items[i]);
        json.WriteEndArray();
    }

    private async Task Transact(HttpContext http)
    {
        StateApi store = Store(http);
        using JsonDocument body = await http.Request.ReadJsonAsync();
        if (body.RootElement.ValueKind != JsonValueKind.Object) throw ApiErrors.MalformedRequest("the body must be an object with 'operations'");

        // Query metadata goes to every operation, what the body says of the whole transaction to the store only.
        Dictionary<string, string> metadata = http.Request.QueryMetadata();
        var operations = new List<StateOperation>();
        foreach (JsonElement element in Find(body.RootElement, "operations") is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : default)
        {
            string kind = Find(element, "operation") is { ValueKind: JsonValueKind.String } name ? name.GetString()! : "";
            if (kind is not ("upsert" or "delete")) throw StateErrors.UnsupportedOperation(kind, StatusCodes.Status400BadRequest, Grpc.Core.StatusCode.Unimplemented);

            JsonElement request = Find(element, "request") ?? throw ApiErrors.MalformedRequest("an operation has no 'request'");
            operations.Add(ReadOperation(request, metadata, isDelete: kind == "delete"));
        }

        if (operations.Count > 0) await store.TransactAsync(operations, http.RequestAborted);
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private Task Query(HttpContext http)
    {
        Store(http);
        throw StateErrors.QueryUnsupported();
    }

    private static StateOperation ReadOperation(JsonElement item, IReadOnlyDictionary<string, string> queryMetadata, bool isDelete)
    {
        if (item.ValueKind != JsonValueKind.Object) throw StateErrors.Malformed("a state must be an object");

        JsonElement? options = Find(item, "options");
        return new StateOperation(Find(item, "key") is { } key ? Text(key, "key") : "")
        {
            Value = isDelete ? StateOperation.NoValue : Compact(Find(item, "value")),
            IsJson = true,
            ETag = Find(item, "etag") is { } etag ? Text(etag, "etag") : null,
            Concurrency = Option(options, "concurrency"),
            Consistency = Option(options, "consistency"),
            Metadata = ReadMetadata(Find(item, "metadata"), queryMetadata),
        };
    }

    // Go's decoder, which Dapr uses, takes names in any case.
    private static JsonElement? Find(JsonElement item, string name)
    {
        if (item.ValueKind != JsonValueKind.Object) return null;
        foreach (JsonProperty property in item.EnumerateObject())
        {
            if (string.Equals(property.Name, name, StringComparison.OrdinalIgnoreCase) && property.Value.ValueKind != JsonValueKind.Null) return property.Value;
        }

        return null;
    }

    private static string Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.String ? element.GetString()! : throw StateErrors.Malformed($"'{name}' must be a string");

    private static string Option(JsonElement? options, string name) =>
        options is { } given && Find(given, name) is { } value ? Text(value, name) : "";

    private static Dictionary<string, string> ReadMetadata(JsonElement? metadata, IReadOnlyDictionary<string, string> queryMetadata)
    {
        var merged = new Dictionary<string, string>(StringComparer.Ordinal);
        if (metadata is { ValueKind: JsonValueKind.Object } given)
        {
            foreach (JsonProperty property in given.EnumerateObject()) merged[property.Name] = Text(property.Value, property.Name);
        }

        foreach ((string name, string value) in queryMetadata) merged[name] = value;
        return merged;
    }

    /// <summary>The value as Dapr keeps it: JSON without white space; a value left out is null.</summary>
    private static byte[] Compact(JsonElement? value)
    {
        if (value is not { } given) return "null"u8.ToArray();

        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            given.WriteTo(json);
        }

        return buffer.ToArray();
    }

    private static void WriteItem(Utf8JsonWriter json, string key, StateItem? item)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        if (item is { Value.Length: > 0 })
        {
            json.WritePropertyName("data");
            WriteData(json, item.Value.Span);
        }

        if (item is not null) json.WriteString("etag", item.ETag);
        if (item?.ExpiresAt is { } expires)
        {
            json.WriteStartObject("metadata");
            json.WriteString(TtlExpireTime, FormatTime(expires));
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    // A value saved over gRPC may be no JSON at all; within a JSON answer it can only travel as base64 text.
    private static void WriteData(Utf8JsonWriter json, ReadOnlySpan<byte> value)
    {
        var reader = new Utf8JsonReader(value);
        try
        {
            while (reader.Read())
            {
            }

            json.WriteRawValue(value, skipInputValidation: true);
        }
        catch (JsonException)
        {
            json.WriteBase64StringValue(value);
        }
    }
}
