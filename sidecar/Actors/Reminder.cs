using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Mesh.Sidecar.Actors;

/// <summary>Which reminder or timer.</summary>
internal readonly record struct ReminderKey(ActorKey Actor, string Name);

/// <summary>What a caller asks for: the body of <c>PUT .../reminders/{name}</c> and <c>.../timers/{name}</c>.</summary>
/// <param name="Data">JSON text, sent back as it came; empty = none.</param>
internal sealed record ReminderRequest(string DueTime, string Period, string Ttl, ReadOnlyMemory<byte> Data, string Callback = "", bool Overwrite = true)
{
    /// <exception cref="JsonException">Not a JSON object of this shape.</exception>
    public static ReminderRequest Parse(ReadOnlyMemory<byte> json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new JsonException("the body is not an object");

        string Text(string name) => root.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null
            ? value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new JsonException($"{name} is not a string")
            : "";
        return new ReminderRequest(Text("dueTime"), Text("period"), Text("ttl"), DataOf(root), Text("callback"), OverwriteOf(root));
    }

    public static ReadOnlyMemory<byte> DataOf(JsonElement root) =>
        root.TryGetProperty("data", out JsonElement data) && data.ValueKind != JsonValueKind.Undefined
            ? System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(data).ToArray()
            : ReadOnlyMemory<byte>.Empty;

    private static bool OverwriteOf(JsonElement root) => !root.TryGetProperty("overwrite", out JsonElement value) || value.ValueKind != JsonValueKind.False;
}

/// <summary>A reminder as it is stored, or a timer as it is held in memory.</summary>
internal sealed record Reminder(ReminderKey Key, Schedule Schedule, ReadOnlyMemory<byte> Data, string Callback = "")
{
    /// <summary>The document in the state store. Times are exact to 100 ns, so that a restart does not move the grid.</summary>
    public byte[] ToDocument()
    {
        var buffer = new ArrayBufferWriter<byte>(256 + Data.Length);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("actorType", Key.Actor.Type);
            writer.WriteString("actorID", Key.Actor.Id);
            writer.WriteString("name", Key.Name);
            writer.WriteString("dueTime", Schedule.DueTime);
            writer.WriteString("period", Schedule.Period);
            writer.WriteString("registeredTime", Schedule.Due.ToString("O", CultureInfo.InvariantCulture));
            if (Schedule.Expires is { } expires) writer.WriteString("expirationTime", expires.ToString("O", CultureInfo.InvariantCulture));
            if (Schedule.Left is { } left) writer.WriteNumber("repetitionsLeft", left);
            WriteData(writer);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <exception cref="JsonException">Not such a document.</exception>
    public static Reminder FromDocument(ReadOnlyMemory<byte> json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            string Text(string name) => root.GetProperty(name).GetString() ?? throw new JsonException($"{name} is null");
            var key = new ReminderKey(new ActorKey(Text("actorType"), Text("actorID")), Text("name"));
            DateTimeOffset? expires = root.TryGetProperty("expirationTime", out JsonElement expiry) ? expiry.GetDateTimeOffset() : null;
            int? left = root.TryGetProperty("repetitionsLeft", out JsonElement count) ? count.GetInt32() : null;
            var schedule = new Schedule(Text("dueTime"), Text("period"), root.GetProperty("registeredTime").GetDateTimeOffset(), left, expires);
            return new Reminder(key, schedule, ReminderRequest.DataOf(root));
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new JsonException(error.Message, error);
        }
    }

    /// <summary>The body of the call to the app; a timer names its callback too.</summary>
    public byte[] ToCallBody(bool isTimer)
    {
        var buffer = new ArrayBufferWriter<byte>(128 + Data.Length);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            WriteData(writer);
            if (isTimer) writer.WriteString("callback", Callback);
            writer.WriteString("dueTime", Schedule.DueTime);
            writer.WriteString("period", Schedule.Period);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private void WriteData(Utf8JsonWriter writer)
    {
        if (Data.IsEmpty) return;

        writer.WritePropertyName("data");
        writer.WriteRawValue(Data.Span, skipInputValidation: true);
    }
}
