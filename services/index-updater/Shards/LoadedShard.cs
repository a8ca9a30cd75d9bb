using Mesh.IndexUpdater.Catalogue;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Shards;

/// <summary>A shard in memory: the catalogue with what belongs to it.</summary>
internal sealed class LoadedShard
{
    public required ShardCatalogue Catalogue { get; init; }

    public required DedupeWindow Window { get; init; }

    /// <summary>Null before the first fit.</summary>
    public ResidualCodebooks? Codebooks { get; set; }

    public required string ModelVersion { get; set; }

    /// <summary>Size of the catalogue when the codebooks were fitted.</summary>
    public long ItemsAtFit { get; set; }

    /// <summary>Rows whose codes are not those of the codebooks: sent out again with the right ones, a few per turn.</summary>
    public Queue<string> StaleCodes { get; init; } = new();
}
