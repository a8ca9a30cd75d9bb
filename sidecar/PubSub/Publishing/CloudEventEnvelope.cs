using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>
/// CloudEvents 1.0 in JSON, as Dapr writes them. JSON data is copied in as it came, so that numbers keep every digit and a
/// payload is never parsed into objects.
/// </summary>
internal sealed class CloudEventEnvelope(string appId, TimeProvider clock)
{
    public const string ContentType = "application/cloudevents+json";
    private const string DefaultType = "com.dapr.event.sent";
    private const string SpecVersion = "1.0";
    private const string DefaultSource = "Dapr";

    // Data is JSON already or text that must stay readable; a browser never sees it.
    private static readonly JsonWriterOptions WriterOptions = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    /// <summary>Wraps data in an event, or completes data that is one.</summary>
    /// <param name="timeToLive">Written as the extension <c>expiration</c>; null where the broker itself expires messages.</param>
    /// <exception cref="JsonException">The content type says CloudEvent and the data is not a JSON object.</exception>
    public ReadOnlyMemory<byte> Wrap(string pubsub, string topic, PublishEntry entry, TraceContext trace, TimeSpan? timeToLive)
    {
        string? expiration = timeToLive is { } ttl ? Timestamp(Expiry(ttl)) : null;
        var buffer = new ArrayBufferWriter<byte>(entry.Data.Length + 512);
        using (var json = new Utf8JsonWriter(buffer, WriterOptions))
        {
            json.WriteStartObject();
            if (MediaType.Is(entry.ContentType, ContentType)) Complete(json, pubsub, topic, entry.Data, trace);
            else Create(json, pubsub, topic, entry, trace);
            if (expiration is not null) json.WriteString("expiration"u8, expiration);
            json.WriteEndObject();
        }

        return buffer.WrittenMemory;
    }

    /// <summary>The event that a subscriber with <c>rawPayload</c> gets around a payload whose type nobody knows.</summary>
    public static ReadOnlyMemory<byte> AroundRaw(string pubsub, string topic, ReadOnlySpan<byte> data, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>((data.Length * 4 / 3) + 512);
        using (var json = new Utf8JsonWriter(buffer, WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("id"u8, Guid.NewGuid());
            json.WriteString("specversion"u8, SpecVersion);
            json.WriteString("datacontenttype"u8, "application/octet-stream");
            json.WriteString("source"u8, DefaultSource);
            json.WriteString("type"u8, DefaultType);
            json.WriteString("topic"u8, topic);
            json.WriteString("pubsubname"u8, pubsub);
            if (metadata?.GetValueOrDefault("traceparent") is { Length: > 0 } parent)
            {
                json.WriteString("traceparent"u8, parent);
                json.WriteString("traceid"u8, parent);
            }

            json.WriteBase64String("data_base64"u8, data);
            json.WriteEndObject();
        }

        return buffer.WrittenMemory;
    }

    private void Create(Utf8JsonWriter json, string pubsub, string topic, PublishEntry entry, TraceContext trace)
    {
        RequestMetadata metadata = entry.Metadata;
        string contentType = entry.ContentType.Length > 0 ? entry.ContentType : "text/plain";
        string traceParent = metadata["cloudevent.traceparent"] ?? metadata["cloudevent.traceid"] ?? trace.TraceParent;
        json.WriteString("id"u8, metadata["cloudevent.id"] ?? Guid.NewGuid().ToString());
        json.WriteString("source"u8, metadata["cloudevent.source"] ?? appId);
        json.WriteString("specversion"u8, SpecVersion);
        json.WriteString("type"u8, metadata["cloudevent.type"] ?? DefaultType);
        json.WriteString("datacontenttype"u8, contentType);
        if (metadata["cloudevent.subject"] is { } subject) json.WriteString("subject"u8, subject);
        json.WriteString("time"u8, Timestamp(clock.GetUtcNow()));
        json.WriteString("topic"u8, topic);
        json.WriteString("pubsubname"u8, pubsub);
        json.WriteString("traceid"u8, traceParent);
        json.WriteString("traceparent"u8, traceParent);
        json.WriteString("tracestate"u8, metadata["cloudevent.tracestate"] ?? trace.TraceState);
        WriteData(json, entry.Data.Span, contentType);
    }

    private static void WriteData(Utf8JsonWriter json, ReadOnlySpan<byte> data, string contentType)
    {
        if (MediaType.Is(contentType, "application/octet-stream") || MediaType.Is(contentType, "application/cloudevents+protobuf"))
        {
            json.WriteBase64String("data_base64"u8, data);
            return;
        }

        json.WritePropertyName("data"u8);
        if (MediaType.Is(contentType, "application/json") && IsJson(data)) json.WriteRawValue(data, skipInputValidation: true);
        else json.WriteStringValue(Encoding.UTF8.GetString(data));
    }

    // An event of the caller's own: what it says stays, apart from where it is published; what it lacks is filled in.
    private void Complete(Utf8JsonWriter json, string pubsub, string topic, ReadOnlyMemory<byte> data, TraceContext trace)
    {
        using JsonDocument document = JsonDocument.Parse(data);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new JsonException($"a CloudEvent is a JSON object, this is {root.ValueKind}");
        foreach (JsonProperty property in root.EnumerateObject())
        {
            bool replaced = property.NameEquals("topic"u8) || property.NameEquals("pubsubname"u8)
                || (property.Value.ValueKind == JsonValueKind.Null && property.Name is "source" or "type" or "specversion");
            if (replaced) continue;
            json.WritePropertyName(property.Name);
            json.WriteRawValue(property.Value.GetRawText(), skipInputValidation: true);
        }

        bool Lacks(string name) => !root.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null;
        if (!root.TryGetProperty("time"u8, out _)) json.WriteString("time"u8, Timestamp(clock.GetUtcNow()));
        if (!root.TryGetProperty("traceid"u8, out _))
        {
            json.WriteString("traceid"u8, trace.TraceParent);
            if (!root.TryGetProperty("traceparent"u8, out _)) json.WriteString("traceparent"u8, trace.TraceParent);
        }

        if (!root.TryGetProperty("tracestate"u8, out _)) json.WriteString("tracestate"u8, trace.TraceState);
        if (Lacks("source")) json.WriteString("source"u8, DefaultSource);
        if (Lacks("type")) json.WriteString("type"u8, DefaultType);
        if (Lacks("specversion")) json.WriteString("specversion"u8, SpecVersion);
        json.WriteString("topic"u8, topic);
        json.WriteString("pubsubname"u8, pubsub);
    }

    private DateTimeOffset Expiry(TimeSpan ttl)
    {
        DateTimeOffset now = clock.GetUtcNow();
        return ttl < DateTimeOffset.MaxValue - now ? now + ttl : DateTimeOffset.MaxValue;
    }

    private static string Timestamp(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static bool IsJson(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty) return false;
        var reader = new Utf8JsonReader(data);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.StartArray or JsonTokenType.StartObject) reader.Skip();
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}

/// <summary>Media types, compared without their parameters.</summary>
internal static class MediaType
{
    public static bool Is(string contentType, string expected)
    {
        ReadOnlySpan<char> type = contentType.AsSpan();
        int parameters = type.IndexOf(';');
        if (parameters >= 0) type = type[..parameters];
        return type.Trim().Equals(expected, StringComparison.OrdinalIgnoreCase);
    }
}
