namespace Mesh.Snapshots.Tests;

/// <summary>Blobs in memory, with a write that can be made to fail.</summary>
internal sealed class MemoryBlobs : ISnapshotBlobs
{
    public SortedDictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    /// <summary>Throws before the n-th write from now; 0 = never.</summary>
    public int FailAtWrite { get; set; }

    public Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        if (FailAtWrite > 0 && --FailAtWrite == 0) throw new IOException("The disk is full.");
        Files[name] = bytes.ToArray();
        return Task.CompletedTask;
    }

    public Task<byte[]?> GetAsync(string name, CancellationToken cancellation) => Task.FromResult(Files.GetValueOrDefault(name));

    public Task DeleteAsync(string name, CancellationToken cancellation)
    {
        Files.Remove(name);
        return Task.CompletedTask;
    }
}
