using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Writing;

/// <summary>Reaches the single writer of a shard, wherever it runs. When an append returns, it is stored and published.</summary>
internal interface IShardClient
{
    Task AppendItemsAsync(uint shard, ItemChanges changes, CancellationToken cancellation);

    Task AppendCountsAsync(uint shard, CounterEvents events, CancellationToken cancellation);

    Task AppendEligibilityAsync(uint shard, EligibilityChanges changes, CancellationToken cancellation);

    Task<string> BeginSnapshotAsync(uint shard, bool refit, CancellationToken cancellation);

    Task ChangeModelAsync(uint shard, ModelChange change, CancellationToken cancellation);

    Task<ItemRow?> FindAsync(uint shard, string itemId, CancellationToken cancellation);

    Task<RowsDigest> DigestAsync(uint shard, CancellationToken cancellation);
}
