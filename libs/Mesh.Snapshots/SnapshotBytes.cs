namespace Mesh.Snapshots;

/// <summary>The bytes of one blob, readable until it is disposed of. They may lie on the heap or be those of a mapped file.</summary>
/// <param name="owner">What keeps them; null where the garbage collector does.</param>
public sealed class SnapshotBytes(ReadOnlyMemory<byte> bytes, IDisposable? owner = null) : IDisposable
{
    public ReadOnlyMemory<byte> Memory { get; } = bytes;

    public void Dispose() => owner?.Dispose();
}
