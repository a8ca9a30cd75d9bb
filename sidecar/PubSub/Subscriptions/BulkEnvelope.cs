using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Publishing;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>
/// The body of a bulk delivery and of its answer. Stored events are copied into it byte by byte: a thousand of them are
/// written in one pass and never parsed.
/// </summary>
internal static class BulkEnvelope
{
    private const string BulkType = "com.dapr.event.sent.bulk";
    private const int EntryOverhead = 128;
    private static readonly JsonWriterOptions WriterOptions = new() { SkipValidation = true };

    public static ReadOnlyMemory<byte> Write(SubscriptionDefinition subscription, IReadOnlyList<ReceivedMessage> messages)
    {
        int size = 512 + messages.Sum(message => (subscription.RawPayload ? message.Data.Length * 4 / 3 : message.Data.Length) + EntryOverhead);
        var buffer = new ArrayBufferWriter<byte>(size);
        using (var json = new Utf8JsonWriter(buffer, WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("id"u8, Guid.NewGuid());
            json.WriteString("type"u8, BulkType);
            json.WriteString("topic"u8, subscription.Topic);
            json.WriteString("pubsubname"u8, subscription.PubSub);
            json.WriteStartObject("metadata"u8);
            json.WriteString("pubsubName"u8, subscription.PubSub);
            json.WriteEndObject();
            json.WriteStartArray("entries"u8);
            foreach (ReceivedMessage message in messages) WriteEntry(json, message, subscription.RawPayload);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.WrittenMemory;
    }

    /// <summary>Puts the app's statuses where the answers of their messages are. Unknown entries are ignored.</summary>
    public static void ReadStatuses(byte[] body, IReadOnlyList<ReceivedMessage> messages, Answer[] answers)
    {
        var places = new Dictionary<string, int>(messages.Count, StringComparer.Ordinal);
        for (int i = 0; i < messages.Count; i++) places[EntryId(messages[i])] = i;
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            if (document.RootElement.ValueKind != JsonValueKind.Object || JsonNames.Find(document.RootElement, "statuses") is not { ValueKind: JsonValueKind.Array } statuses) return;
            foreach (JsonElement entry in statuses.EnumerateArray())
            {
                string? id = JsonNames.Find(entry, "entryId") is { ValueKind: JsonValueKind.String } entryId ? entryId.GetString() : null;
                if (id is null || !places.TryGetValue(id, out int place)) continue;
                string? status = JsonNames.Find(entry, "status") is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;
                answers[place] = status switch
                {
                    "SUCCESS" => new Answer(Verdict.Success, "", 0),
                    "DROP" => new Answer(Verdict.Drop, "the app answered DROP", 0),
                    _ => new Answer(Verdict.Retry, $"the app answered {(string.IsNullOrEmpty(status) ? "no status" : status)}", 0),
                };
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            Array.Fill(answers, new Answer(Verdict.Retry, $"the app's answer to a bulk cannot be read: {exception.Message}", 0));
        }
    }

    private static string EntryId(ReceivedMessage message) => message.Id.ToString(CultureInfo.InvariantCulture);

    private static void WriteEntry(Utf8JsonWriter json, ReceivedMessage message, bool raw)
    {
        json.WriteStartObject();
        json.WriteString("entryId"u8, EntryId(message));
        if (raw)
        {
            json.WriteBase64String("event"u8, message.Data.Span);
        }
        else
        {
            json.WritePropertyName("event"u8);
            json.WriteRawValue(message.Data.Span, skipInputValidation: true);
        }

        json.WriteNull("metadata"u8);
        json.WriteString("contentType"u8, raw ? message.ContentType : CloudEventEnvelope.ContentType);
        json.WriteEndObject();
    }
}
