using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Writing;
using Mesh.Snapshots;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Snapshots on demand, from any replica: the shard's actor begins one and answers at once, so that events go on; the head of
/// the log says when it is there. Looking at the head is one key by the local sidecar, ten times a second while somebody waits.
/// </summary>
internal sealed class SnapshotRequests(
    IShardClient shards, DeltaLogReader log, SnapshotReader snapshots, IOptions<IndexUpdaterOptions> options, TimeProvider clock)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);

    /// <summary>Manifest of the newest snapshot, or null before the first.</summary>
    public async Task<SnapshotManifest?> LatestAsync(uint shard, CancellationToken cancellation)
    {
        IndexLogHead? head = await log.HeadAsync(shard, cancellation);
        return head is { Snapshots: [var newest, ..] } ? await snapshots.ReadManifestAsync(shard, newest.Version, cancellation) : null;
    }

    /// <exception cref="TimeoutException">It is not there within the time limit.</exception>
    /// <exception cref="InvalidOperationException">It could not be made.</exception>
    public async Task<SnapshotManifest> MakeAsync(uint shard, bool refit, CancellationToken cancellation)
    {
        string version = await shards.BeginSnapshotAsync(shard, refit, cancellation);
        using var timeout = new CancellationTokenSource(TimeSpan.FromMilliseconds(options.Value.SnapshotTimeoutMs), clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        try
        {
            while (true)
            {
                IndexLogHead head = await log.HeadAsync(shard, linked.Token) ?? new IndexLogHead();
                if (head.Snapshots.Any(snapshot => snapshot.Version == version)) return await snapshots.ReadManifestAsync(shard, version, linked.Token);
                if (head.SnapshotFailed == version) throw new InvalidOperationException($"Snapshot {version} could not be made; the log of index-updater says why.");
                await Task.Delay(LookEvery, clock, linked.Token);
            }
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"Snapshot {version} was not there within {options.Value.SnapshotTimeoutMs} ms; it may still come.");
        }
    }
}
