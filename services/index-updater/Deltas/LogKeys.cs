using System.Globalization;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>State keys of one shard. The contents are in contracts/index_storage.proto.</summary>
internal sealed class LogKeys(uint shard)
{
    /// <summary>Batches per directory page.</summary>
    public const int PageBatches = 256;

    private readonly string _prefix = string.Create(CultureInfo.InvariantCulture, $"ix:{shard}");

    public uint Shard => shard;

    /// <summary>
    /// Why a log cannot be used with the number of shards configured; null where it can. Items of other shards would stay in it for ever,
    /// beside their newer rows elsewhere.
    /// </summary>
    public string? FaultOf(IndexLogHead head, int shards)
    {
        uint written = Math.Max(1, head.Shards);
        return written == shards
            ? null
            : $"Shard {shard} was written when items were spread over {written} shards; IndexUpdater:Shards is {shards}. Set it back to {written}, or spread the items anew: docs/shards.md.";
    }

    public string Head => $"{_prefix}:h";

    public string Page(ulong page) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:p:{page}");

    public string Batch(ulong batch) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:b:{batch}");

    public string Events(int page) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:e:{page}");
}
