namespace Mesh.Snapshots;

/// <summary>Where snapshot files lie: named blobs, written and read whole. Names use '/' and no "..".</summary>
public interface ISnapshotBlobs
{
    /// <summary>Writes or overwrites. When it returns, a later get gives these bytes.</summary>
    Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation);

    /// <summary>The bytes, or null where there is no such blob.</summary>
    Task<byte[]?> GetAsync(string name, CancellationToken cancellation);

    /// <summary>The bytes without a copy of them where that can be had, or null where there is no such blob.</summary>
    async Task<SnapshotBytes?> OpenAsync(string name, CancellationToken cancellation) =>
        await GetAsync(name, cancellation) is { } bytes ? new SnapshotBytes(bytes) : null;

    /// <summary>Deletes; fine where there is nothing to delete.</summary>
    Task DeleteAsync(string name, CancellationToken cancellation);
}
