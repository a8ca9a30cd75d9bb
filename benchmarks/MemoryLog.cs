using Mesh.Contracts;
using Mesh.Retrieval.Deltas;
using Mesh.Snapshots;
using Mesh.Testing;

namespace Mesh.Benchmarks;

/// <summary>index-updater as far as a replica sees it, in memory: a snapshot and the deltas after it.</summary>
internal sealed class MemoryLog(int snapshotSequence) : IDeltaFeed
{
    private readonly Lock _gate = new();
    private readonly List<IndexDelta> _deltas = [];

    public MemoryBlobs Blobs { get; } = new();

    public void Append(IEnumerable<IndexDelta> deltas)
    {
        lock (_gate) _deltas.AddRange(deltas);
    }

    /// <summary>Lets go of the snapshot's files, which only a start needs.</summary>
    public void Forget() => Blobs.Clear();

    public Task<SnapshotManifest?> GetLatestSnapshotAsync(CancellationToken cancellation) => new SnapshotReader(Blobs).ReadLatestAsync(0, cancellation);

    public Task<IndexDeltaBatch> GetDeltasAsync(ulong after, int max, CancellationToken cancellation)
    {
        lock (_gate)
        {
            var batch = new IndexDeltaBatch { FirstSequence = after + 1, HeadSequence = (ulong)(snapshotSequence + _deltas.Count) };
            batch.Deltas.AddRange(_deltas.Skip((int)after - snapshotSequence).Take(max));
            return Task.FromResult(batch);
        }
    }
}
