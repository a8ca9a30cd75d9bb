namespace Mesh.IndexUpdater.Deltas;

/// <summary>The state store, as a shard uses it: raw bytes, transactions, and an ETag that fences off a second writer.</summary>
internal interface IShardState
{
    /// <summary>Value and ETag of a key; null and empty where there is none.</summary>
    Task<(byte[]? Value, string ETag)> GetAsync(string key, CancellationToken cancellation);

    /// <summary>Values of those keys that have one.</summary>
    Task<IReadOnlyDictionary<string, byte[]>> GetBulkAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation);

    /// <summary>Sets (or deletes, where the value is null) all keys or none, and none where <paramref name="fencedKey"/> no longer has the ETag.</summary>
    Task TransactAsync(IReadOnlyList<KeyValuePair<string, byte[]?>> writes, string fencedKey, string eTag, CancellationToken cancellation);
}
