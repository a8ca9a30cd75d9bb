using Mesh.IndexUpdater.Catalogue;

namespace Mesh.IndexUpdater.Shards;

/// <summary>A shard in memory: the catalogue with what belongs to it.</summary>
internal sealed class LoadedShard
{
    public required ShardCatalogue Catalogue { get; init; }

    public required DedupeWindow Window { get; init; }

    /// <summary>The live one: every item that comes is encoded by it.</summary>
    public required ItemModel Model { get; set; }

    /// <summary>Size of the catalogue when the codebooks were fitted.</summary>
    public long ItemsAtFit { get; set; }

    /// <summary>Rows of another model than the live one, or which replicas of the live one were not sent: sent out again, a few per turn.</summary>
    public Queue<string> StaleRows { get; init; } = new();

    /// <summary>Loading changed the model: replicas hold rows of another one until a snapshot comes.</summary>
    public bool NeedsSnapshot { get; set; }
}
