using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.Snapshots;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Shards;

/// <summary>Makes the writer of a shard when its actor is activated.</summary>
internal sealed class ShardWriterFactory(
    IShardState state, IDeltaPublisher publisher, ISnapshotBlobs blobs, IItemModels models, IOptions<IndexUpdaterOptions> options, TimeProvider clock,
    IndexUpdaterMetrics metrics, ILogger<ShardWriter> logger)
{
    public ShardWriter Create(uint shard) => new(shard, new ShardDependencies(state, publisher, blobs, models, options.Value, clock, metrics, logger));
}
