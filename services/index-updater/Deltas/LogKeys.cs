using System.Globalization;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>State keys of one shard. The contents are in contracts/index_storage.proto.</summary>
internal sealed class LogKeys(uint shard)
{
    /// <summary>Batches per directory page.</summary>
    public const int PageBatches = 256;

    private readonly string _prefix = string.Create(CultureInfo.InvariantCulture, $"ix:{shard}");

    public uint Shard => shard;

    public string Head => $"{_prefix}:h";

    public string Page(ulong page) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:p:{page}");

    public string Batch(ulong batch) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:b:{batch}");

    public string Events(int page) => string.Create(CultureInfo.InvariantCulture, $"{_prefix}:e:{page}");
}
