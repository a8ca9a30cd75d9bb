using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Deltas;
using Mesh.Snapshots;
using Mesh.Testing;

namespace Mesh.Retrieval.Tests;

/// <summary>index-updater in memory: an ordered log, snapshots in the real format, and failures on demand.</summary>
internal sealed class FakeLog : IDeltaFeed
{
    private readonly Lock _gate = new();
    private List<IndexDelta> _deltas = [];
    private ulong _truncatedThrough;
    private SnapshotManifest? _latest;
    private int _versions;

    public MemoryBlobs Blobs { get; } = new();

    /// <summary>While set, every call fails.</summary>
    public volatile bool IsDown;

    /// <summary>Model of the next snapshots; a new one for each where empty.</summary>
    public string ModelVersion = "";

    /// <summary>User tower of the next snapshots.</summary>
    public SnapshotTower? Tower;

    public int Dimensions = Make.Dimensions;

    public int SnapshotCalls;

    public int DeltaCalls;

    public ulong Head
    {
        get
        {
            lock (_gate) return (ulong)_deltas.Count;
        }
    }

    public IndexModel Model
    {
        get
        {
            var model = new IndexModel();
            lock (_gate) _deltas.ForEach(model.Apply);
            return model;
        }
    }

    public void Append(IEnumerable<IndexDelta> deltas)
    {
        lock (_gate) _deltas.AddRange(deltas);
    }

    /// <summary>The log is lost and begins again with these.</summary>
    public void Replace(IEnumerable<IndexDelta> deltas)
    {
        lock (_gate) (_deltas, _truncatedThrough, _latest) = ([.. deltas], 0, null);
    }

    /// <summary>Makes the newest snapshot unreadable.</summary>
    public void Damage() => Blobs.Damage(_latest!.Files.First(file => file.Kind == SnapshotNames.Rows).Name);

    /// <summary>Deltas up to here can no longer be read.</summary>
    public void TruncateThrough(ulong sequence)
    {
        lock (_gate) _truncatedThrough = sequence;
    }

    /// <summary>Makes a snapshot of everything so far and appends its notice to the log.</summary>
    public Task<IndexDelta> SnapshotAsync()
    {
        lock (_gate) return SnapshotAsync(Model.Rows.Values);
    }

    /// <summary>Makes a snapshot of rows that need not be in the log.</summary>
    /// <param name="between">Deltas that come while it is made: after what it holds, before its notice.</param>
    public async Task<IndexDelta> SnapshotAsync(IEnumerable<ItemRow> content, IReadOnlyList<IndexDelta>? between = null)
    {
        List<ItemRow> rows = [.. content];
        ulong sequence = Head;
        var manifest = new SnapshotManifest
        {
            Version = $"version-{++_versions}", Sequence = sequence, ModelVersion = ModelVersion.Length > 0 ? ModelVersion : $"model-{_versions}", CreatedAtMs = Make.Now, CounterHalfLifeHours = 12,
        };
        ResidualCodebooks? codebooks = rows.Any(row => row.Codes.Count > 0) ? new ResidualCodebooks(3, 4, Dimensions, new float[3 * 4 * Dimensions]) : null;
        SnapshotManifest latest = await new SnapshotWriter(Blobs).WriteAsync(
            new SnapshotContent { Manifest = manifest, Dimensions = Dimensions, Codebooks = codebooks, Rows = rows, Tower = Tower }, CancellationToken.None);
        Append(between ?? []);
        _latest = latest;
        var notice = new IndexDelta
        {
            Sequence = Head + 1, Snapshot = new SnapshotNotice { Version = manifest.Version, Sequence = sequence, ModelVersion = manifest.ModelVersion },
        };
        Append([notice]);
        return notice;
    }

    public Task<SnapshotManifest?> GetLatestSnapshotAsync(CancellationToken cancellation)
    {
        Interlocked.Increment(ref SnapshotCalls);
        if (IsDown) throw new FeedException("index-updater is down");
        return Task.FromResult(_latest);
    }

    public Task<IndexDeltaBatch> GetDeltasAsync(ulong after, int max, CancellationToken cancellation)
    {
        Interlocked.Increment(ref DeltaCalls);
        if (IsDown) throw new FeedException("index-updater is down");
        lock (_gate)
        {
            if (after < _truncatedThrough) return Task.FromResult(new IndexDeltaBatch { HeadSequence = Head, TruncatedLog = true });
            return Task.FromResult(Make.Batch(_deltas.Skip((int)after).Take(max).Select(delta => delta.Clone()), Head));
        }
    }
}
