using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Mesh.Sidecar.Runtime;
using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Actors;

/// <summary>State of active actors, in the store marked <c>actorStateStore</c>, under <c>{app}||{type}||{id}||{key}</c>.</summary>
internal sealed class ActorState(ActorHost? host, IStateStore? store, string appId)
{
    private const string TtlKey = "ttlInSeconds";

    /// <exception cref="DaprApiException">The actor is not active here, there is no store, or it failed.</exception>
    public async Task<StateItem?> GetAsync(ActorKey actor, string key, CancellationToken cancellation)
    {
        IStateStore found = StoreOf(actor);
        try
        {
            return await found.GetAsync(KeyOf(actor, key), cancellation);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            throw ActorErrors.StateGet(error.Message);
        }
    }

    /// <summary>All writes or none.</summary>
    /// <exception cref="DaprApiException">As <see cref="GetAsync"/>; a conflict of ETags is a failure too.</exception>
    public async Task WriteAsync(ActorKey actor, IReadOnlyList<StateWrite> writes, CancellationToken cancellation)
    {
        IStateStore found = StoreOf(actor);
        if (writes.Count == 0) return;

        try
        {
            await found.WriteAsync(writes, cancellation);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            throw ActorErrors.StateSave(error.Message);
        }
    }

    /// <summary>Parses the body of a transaction: <c>[{"operation":"upsert|delete","request":{"key","value","etag","metadata"}}]</c>.</summary>
    /// <exception cref="DaprApiException">Malformed, or an operation that there is not.</exception>
    public IReadOnlyList<StateWrite> Parse(ActorKey actor, ReadOnlyMemory<byte> json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Array) throw ActorErrors.Malformed("the body is not an array of operations");
            return [.. document.RootElement.EnumerateArray().Select(operation => Parse(actor, operation))];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw ActorErrors.Malformed(error.Message);
        }
    }

    public StateWrite Upsert(
        ActorKey actor, string key, ReadOnlyMemory<byte> value, bool isJson, string? etag, IEnumerable<KeyValuePair<string, string>> metadata) =>
        new(KeyOf(actor, key), value, etag, Ttl: TtlOf(metadata), IsJson: isJson);

    public StateWrite Delete(ActorKey actor, string key, string? etag = null) => new(KeyOf(actor, key), null, etag);

    public static DaprApiException Unsupported(string operation) => ActorErrors.StateSave($"operation type {operation} not supported");

    private StateWrite Parse(ActorKey actor, JsonElement operation)
    {
        string kind = operation.GetProperty("operation").GetString() ?? "";
        JsonElement request = operation.GetProperty("request");
        string key = request.TryGetProperty("key", out JsonElement name) ? name.GetString() ?? "" : "";
        string? etag = request.TryGetProperty("etag", out JsonElement tag) && tag.ValueKind == JsonValueKind.String ? tag.GetString() : null;
        switch (kind)
        {
            case "upsert":
                // Kept as it was written: the value is stored byte for byte, numbers too large for a double included.
                byte[] value = request.TryGetProperty("value", out JsonElement given) ? JsonMarshal.GetRawUtf8Value(given).ToArray() : "null"u8.ToArray();
                return Upsert(actor, key, value, isJson: true, etag, MetadataOf(request));
            case "delete":
                return Delete(actor, key, etag);
            default:
                throw Unsupported(kind);
        }
    }

    private static IEnumerable<KeyValuePair<string, string>> MetadataOf(JsonElement request) =>
        request.TryGetProperty("metadata", out JsonElement metadata) && metadata.ValueKind == JsonValueKind.Object
            ? [.. metadata.EnumerateObject().Select(entry => KeyValuePair.Create(entry.Name, entry.Value.ToString()))]
            : [];

    private static TimeSpan? TtlOf(IEnumerable<KeyValuePair<string, string>> metadata)
    {
        foreach ((string name, string text) in metadata)
        {
            if (name != TtlKey) continue;
            if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int seconds))
            {
                throw ActorErrors.StateSave($"{TtlKey} is '{text}', not a whole number of seconds");
            }

            return seconds > 0 ? TimeSpan.FromSeconds(seconds) : null;
        }

        return null;
    }

    private IStateStore StoreOf(ActorKey actor)
    {
        IStateStore found = store ?? throw ActorErrors.NoStateStore();
        return host is not null && host.IsActive(actor) ? found : throw ActorErrors.InstanceMissing();
    }

    private string KeyOf(ActorKey actor, string key) => key.Length > 0 ? $"{appId}||{actor}||{key}" : throw ActorErrors.StateSave("missing key");
}
