using System.Text;
using System.Text.Json;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>One entry of a bulk publish body: <c>{entryId, event, contentType, metadata}</c>.</summary>
internal static class BulkEntryJson
{
    public static PublishEntry Read(JsonElement entry, string topic, string pubsub, RequestMetadata request)
    {
        string contentType = Text(entry, "contentType");
        JsonElement data = entry.TryGetProperty("event"u8, out JsonElement found) ? found : default;
        RequestMetadata metadata = request;
        if (entry.TryGetProperty("metadata"u8, out JsonElement own) && own.ValueKind == JsonValueKind.Object)
        {
            metadata = request.OverriddenBy(own.EnumerateObject().Select(pair => KeyValuePair.Create(pair.Name, pair.Value.GetString() ?? "")));
        }

        return new PublishEntry(Text(entry, "entryId"), Bytes(data, contentType, topic, pubsub), contentType, metadata);
    }

    // Text is sent as a JSON string, binary as base64 in one, JSON and CloudEvents as they are.
    private static ReadOnlyMemory<byte> Bytes(JsonElement data, string contentType, string topic, string pubsub)
    {
        bool json = MediaType.Is(contentType, "application/json") || MediaType.Is(contentType, CloudEventEnvelope.ContentType);
        if (json) return data.ValueKind == JsonValueKind.Undefined ? "null"u8.ToArray() : Encoding.UTF8.GetBytes(data.GetRawText());
        if (data.ValueKind != JsonValueKind.String)
        {
            throw PubSubErrors.Envelope(topic, pubsub, $"an event of content type '{contentType}' must be a JSON string, this is {data.ValueKind}");
        }

        if (!MediaType.Is(contentType, "application/octet-stream")) return Encoding.UTF8.GetBytes(data.GetString()!);
        return data.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes
            : throw PubSubErrors.Envelope(topic, pubsub, "an event of content type 'application/octet-stream' must be base64");
    }

    private static string Text(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
}
