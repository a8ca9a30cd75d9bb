using Dapr.Actors;

namespace Mesh.IndexUpdater.Writing;

/// <summary>
/// The single writer of one shard: the actor runtime takes its calls one at a time, in one process. Arguments are protobuf
/// messages as bytes, so that they cross the sidecar as one base64 string each.
/// </summary>
public interface IIndexShard : IActor
{
    /// <param name="changes">ItemChanges, at most 1 MiB.</param>
    Task AppendItemsAsync(byte[] changes, CancellationToken cancellation);

    /// <param name="events">CounterEvents with unknown and known ids alike.</param>
    Task AppendCountsAsync(byte[] events, CancellationToken cancellation);

    /// <param name="changes">EligibilityChanges, at most 1 MiB.</param>
    Task AppendEligibilityAsync(byte[] changes, CancellationToken cancellation);

    /// <returns>Version of the snapshot that is being made: the head of the log names it when it is there.</returns>
    Task<string> BeginSnapshotAsync(bool refit, CancellationToken cancellation);

    /// <param name="change">ModelChange whose model can be opened. Returns when it is stored; the model goes live later.</param>
    Task ChangeModelAsync(byte[] change, CancellationToken cancellation);

    /// <returns>An ItemRow, or nothing where the item is unknown.</returns>
    Task<byte[]> FindAsync(string itemId, CancellationToken cancellation);

    /// <returns>A RowsDigest of what the log holds.</returns>
    Task<byte[]> DigestAsync(CancellationToken cancellation);
}
