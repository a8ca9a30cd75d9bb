using Dapr;
using Google.Protobuf;
using Grpc.Core;
using Mesh.Contracts;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Deltas;

/// <summary>Makes an index of the newest snapshot, beside the one that serves: for a while both are in memory.</summary>
internal sealed class SnapshotLoader(IDeltaFeed feed, ISnapshotBlobs blobs, RefusedRows refused, TimeProvider clock, IOptions<RetrievalOptions> options)
{
    private readonly IndexLimits _limits = IndexLimits.From(options.Value);

    /// <summary>The newest snapshot as an index; an empty one at sequence 0 where there is no snapshot yet.</summary>
    /// <exception cref="FeedException">The manifest or a file could not be read, or is damaged.</exception>
    public async Task<LiveIndex> LoadLatestAsync(CancellationToken cancellation)
    {
        (IndexOrigin origin, SnapshotManifest? manifest) = await FindLatestAsync(cancellation);
        return await LoadAsync(origin, manifest, cancellation);
    }

    /// <summary>What an index of the newest snapshot would be called; no manifest where there is no snapshot yet.</summary>
    /// <exception cref="FeedException">The manifest could not be read.</exception>
    public async Task<(IndexOrigin Origin, SnapshotManifest? Manifest)> FindLatestAsync(CancellationToken cancellation)
    {
        SnapshotManifest? manifest = await feed.GetLatestSnapshotAsync(cancellation);
        if (manifest is null) return (IndexOrigin.None(options.Value.CounterHalfLifeHours), null);
        double halfLifeHours = manifest.CounterHalfLifeHours > 0 ? manifest.CounterHalfLifeHours : options.Value.CounterHalfLifeHours;
        return (new IndexOrigin(manifest.Version, manifest.ModelVersion, manifest.Sequence, halfLifeHours), manifest);
    }

    /// <summary>Loads what <see cref="FindLatestAsync"/> found.</summary>
    /// <exception cref="FeedException">A file could not be read, or is damaged.</exception>
    public async Task<LiveIndex> LoadAsync(IndexOrigin origin, SnapshotManifest? manifest, CancellationToken cancellation)
    {
        var index = new LiveIndex(origin, _limits, clock);
        if (manifest is null) return index;
        try
        {
            await foreach (SnapshotRows rows in new SnapshotReader(blobs).ReadRowsAsync(manifest, cancellation)) Load(index, rows);
        }
        catch (Exception exception) when (IsTrouble(exception) && !cancellation.IsCancellationRequested)
        {
            throw new FeedException($"snapshot {manifest.Version} cannot be read: {exception.Message}", exception);
        }

        return index;
    }

    private void Load(LiveIndex index, SnapshotRows rows)
    {
        for (int i = 0; i < rows.Count; i++)
        {
            if (index.Load(rows.ToItemRow(i), out string reason) == Applied.Refused) refused.Note(rows.ItemId(i), reason);
        }
    }

    private static bool IsTrouble(Exception exception) =>
        exception is SnapshotFormatException or DaprException or RpcException or HttpRequestException or IOException or OperationCanceledException
            or InvalidProtocolBufferException;
}
