using Dapr.Client;
using Mesh.Contracts;
using Mesh.Hosting;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>The state API of this service's sidecar.</summary>
internal sealed class SidecarShardState(DaprClient dapr, SidecarState state) : IShardState
{
    public async Task<(byte[]? Value, string ETag)> GetAsync(string key, CancellationToken cancellation)
    {
        (ReadOnlyMemory<byte> value, string eTag) = await dapr.GetByteStateAndETagAsync(Components.StateStore, key, cancellationToken: cancellation);
        return (value.IsEmpty ? null : value.ToArray(), eTag ?? "");
    }

    public async Task<IReadOnlyDictionary<string, byte[]>> GetBulkAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation) =>
        await state.GetBulkAsync(keys, cancellation);

    public Task TransactAsync(IReadOnlyList<KeyValuePair<string, byte[]?>> writes, string fencedKey, string eTag, CancellationToken cancellation)
    {
        List<StateTransactionRequest> operations = [.. writes.Select(write => Operation(write, write.Key == fencedKey ? eTag : ""))];
        return dapr.ExecuteStateTransactionAsync(Components.StateStore, operations, cancellationToken: cancellation);
    }

    private static StateTransactionRequest Operation(KeyValuePair<string, byte[]?> write, string eTag) => new(
        write.Key,
        write.Value,
        write.Value is null ? StateOperationType.Delete : StateOperationType.Upsert,
        etag: eTag.Length == 0 ? null : eTag,
        options: eTag.Length == 0 ? null : new StateOptions { Concurrency = ConcurrencyMode.FirstWrite, Consistency = ConsistencyMode.Strong });
}

/// <summary>Publishes through this service's sidecar.</summary>
internal sealed class SidecarDeltaPublisher(EventPublisher events) : IDeltaPublisher
{
    public Task PublishAsync(IndexDeltaBatch batch, CancellationToken cancellation) =>
        events.PublishAsync(Components.DeltaPubSub, Topics.IndexDeltas, batch, cancellation);
}
