using Mesh.Contracts;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Writing;

/// <summary>Which shard owns an item: the hash of its id, modulo the number of shards.</summary>
internal sealed class ShardRouter(IOptions<IndexUpdaterOptions> options)
{
    public uint Shards { get; } = (uint)options.Value.Shards;

    public uint ShardOf(string itemId) => ItemHash.Compute(itemId) % Shards;
}
