using Mesh.Snapshots;

namespace Mesh.Testing;

/// <summary>Files of snapshots in memory, with failures on demand. Any thread.</summary>
public sealed class MemoryBlobs : ISnapshotBlobs
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, byte[]> _files = new(StringComparer.Ordinal);

    /// <summary>Throws at the n-th write from now; 0 = never.</summary>
    public int FailAtWrite { get; set; }

    /// <summary>Writes wait here while it is set.</summary>
    public TaskCompletionSource? Gate { get; set; }

    /// <summary>In order.</summary>
    public string[] Names
    {
        get
        {
            lock (_gate) return [.. _files.Keys];
        }
    }

    /// <summary>Flips a bit of a file.</summary>
    public void Damage(string name)
    {
        lock (_gate) _files[name][^1] ^= 1;
    }

    public void Clear()
    {
        lock (_gate) _files.Clear();
    }

    public async Task PutAsync(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        if (Gate is { } gate) await gate.Task.WaitAsync(cancellation);
        lock (_gate)
        {
            if (FailAtWrite > 0 && --FailAtWrite == 0) throw new IOException("The disk is full.");
            _files[name] = bytes.ToArray();
        }
    }

    public Task<byte[]?> GetAsync(string name, CancellationToken cancellation)
    {
        lock (_gate) return Task.FromResult(_files.GetValueOrDefault(name));
    }

    public Task DeleteAsync(string name, CancellationToken cancellation)
    {
        lock (_gate) _files.Remove(name);
        return Task.CompletedTask;
    }
}
