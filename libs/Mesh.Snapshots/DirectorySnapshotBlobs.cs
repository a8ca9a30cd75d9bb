using Mesh.Numerics;

namespace Mesh.Snapshots;

/// <summary>
/// Snapshot files of a directory on this machine: where the snapshots binding writes to, if it is local storage. Opened files are mapped,
/// so nothing is copied and nothing of them is on the heap. A write is renamed into place.
/// </summary>
public sealed class DirectorySnapshotBlobs(string root) : ISnapshotBlobs
{
    private readonly string _root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));

    public async Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        string path = PathOf(name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string incomplete = $"{path}.incomplete-{Guid.NewGuid():N}";
        await File.WriteAllBytesAsync(incomplete, bytes, cancellation);
        File.Move(incomplete, path, overwrite: true);
    }

    public async Task<byte[]?> GetAsync(string name, CancellationToken cancellation)
    {
        string path = PathOf(name);
        return File.Exists(path) ? await File.ReadAllBytesAsync(path, cancellation) : null;
    }

    public Task<SnapshotBytes?> OpenAsync(string name, CancellationToken cancellation)
    {
        string path = PathOf(name);
        if (!File.Exists(path)) return Task.FromResult<SnapshotBytes?>(null);
        if (new FileInfo(path).Length == 0) return Task.FromResult<SnapshotBytes?>(new SnapshotBytes(default)); // nothing to map
        MappedFile file = MappedFile.Open(path);
        return Task.FromResult<SnapshotBytes?>(new SnapshotBytes(file.Memory, file));
    }

    public Task DeleteAsync(string name, CancellationToken cancellation)
    {
        string path = PathOf(name);
        if (File.Exists(path)) File.Delete(path);
        return Task.CompletedTask;
    }

    // Names come from manifests, which come from another process.
    private string PathOf(string name)
    {
        string path = Path.GetFullPath(Path.Combine(_root, name));
        return path.StartsWith(_root + Path.DirectorySeparatorChar, StringComparison.Ordinal)
            ? path
            : throw new SnapshotFormatException($"The file name '{name}' leads out of the snapshots' directory.");
    }
}
