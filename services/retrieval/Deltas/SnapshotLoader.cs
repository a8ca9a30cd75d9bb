using System.Runtime.ExceptionServices;
using Dapr;
using Google.Protobuf;
using Grpc.Core;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Deltas;

/// <summary>
/// Makes an index of the newest snapshot, beside the one that serves: for a while both are in memory. The user tower comes from the
/// snapshot alone, so that it is always of the rows' model.
/// </summary>
internal sealed class SnapshotLoader(
    IDeltaFeed feed, ISnapshotBlobs blobs, InferenceRuntime inference, RefusedRows refused, TimeProvider clock, IOptions<RetrievalOptions> options, ILogger<SnapshotLoader> logger)
{
    private readonly SnapshotReader _reader = new(blobs);
    private readonly IndexLimits _limits = IndexLimits.From(options.Value);

    /// <summary>Of the load that ended last.</summary>
    public LoadTimes LastTimes { get; private set; } = new();

    /// <summary>
    /// The newest snapshot that can be read as an index; an empty one at sequence 0 where there is no snapshot yet. The log goes back
    /// to the snapshot before the newest, so a damaged one costs a longer replay and nothing else.
    /// </summary>
    /// <exception cref="FeedException">No snapshot could be read.</exception>
    public async Task<LiveIndex> LoadLatestAsync(CancellationToken cancellation)
    {
        (IndexOrigin origin, SnapshotManifest? manifest) = await FindLatestAsync(cancellation);
        try
        {
            return await LoadAsync(origin, manifest, Environment.ProcessorCount, cancellation);
        }
        catch (FeedException exception) when (exception.InnerException is SnapshotFormatException or ModelRejectedException)
        {
            if (await FindBeforeAsync(manifest!, cancellation) is not { } before) throw;
            Log.SnapshotPassedOver(logger, origin.Version, exception.Message);
            return await LoadAsync(OriginOf(before), before, Environment.ProcessorCount, cancellation);
        }
    }

    /// <summary>What an index of the newest snapshot would be called; no manifest where there is no snapshot yet.</summary>
    /// <exception cref="FeedException">The manifest could not be read.</exception>
    public async Task<(IndexOrigin Origin, SnapshotManifest? Manifest)> FindLatestAsync(CancellationToken cancellation)
    {
        SnapshotManifest? manifest = await feed.GetLatestSnapshotAsync(cancellation);
        return (manifest is null ? IndexOrigin.None(options.Value.CounterHalfLifeHours) : OriginOf(manifest), manifest);
    }

    /// <summary>Loads what <see cref="FindLatestAsync"/> found.</summary>
    /// <param name="threads">That work on it: every core where nothing is served yet.</param>
    /// <exception cref="FeedException">A file could not be read, or is damaged.</exception>
    public async Task<LiveIndex> LoadAsync(IndexOrigin origin, SnapshotManifest? manifest, int threads, CancellationToken cancellation)
    {
        if (manifest is null) return new LiveIndex(origin, _limits, clock);
        UserTower? tower = null;
        try
        {
            tower = await OpenTowerAsync(manifest, cancellation);
            var index = new LiveIndex(origin, _limits, clock, tower);
            await FillAsync(index, manifest, threads, cancellation);
            return index;
        }
        catch (Exception exception)
        {
            tower?.Dispose();
            if (!IsTrouble(exception) || cancellation.IsCancellationRequested) throw;
            throw new FeedException($"snapshot {manifest.Version} cannot be read: {exception.Message}", exception);
        }
    }

    private async Task<UserTower?> OpenTowerAsync(SnapshotManifest manifest, CancellationToken cancellation)
    {
        if (await _reader.ReadTowerAsync(manifest, cancellation) is not { } stored) return null;

        UserTower tower = UserTower.Open(stored.Graph.ToArray(), stored.Manifest.Span, inference, cancellation);
        if (tower.Manifest.Version == manifest.ModelVersion && tower.Dimensions == manifest.Dimensions) return tower;
        tower.Dispose();
        throw new SnapshotFormatException(
            $"The user tower is of {tower.Manifest.Version} with {tower.Dimensions} dimensions; the rows are of {manifest.ModelVersion} with {manifest.Dimensions}.");
    }

    private async Task<SnapshotManifest?> FindBeforeAsync(SnapshotManifest newest, CancellationToken cancellation)
    {
        try
        {
            IReadOnlyList<string> versions = await _reader.ReadVersionsAsync(newest.Shard, cancellation);
            string? before = versions.SkipWhile(version => version != newest.Version).Skip(1).FirstOrDefault();
            return before is null ? null : await _reader.ReadManifestAsync(newest.Shard, before, cancellation);
        }
        catch (Exception exception) when (IsTrouble(exception) && !cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    private IndexOrigin OriginOf(SnapshotManifest manifest) => new(
        manifest.Version, manifest.ModelVersion, manifest.Sequence, manifest.CounterHalfLifeHours > 0 ? manifest.CounterHalfLifeHours : options.Value.CounterHalfLifeHours);

    private async Task FillAsync(LiveIndex index, SnapshotManifest manifest, int threads, CancellationToken cancellation)
    {
        var times = new LoadTimes();
        SnapshotParts parts;
        using (times.Phase("read")) parts = await _reader.OpenRowsAsync(manifest, threads, cancellation);
        using (parts)
        {
            try
            {
                SnapshotBulk rows;
                using (times.Phase("facts")) rows = SnapshotBulk.Read(parts.Rows, _limits.ItemsMax, refused, threads, cancellation);
                index.Fill(rows, threads, times);
            }
            catch (AggregateException exception)
            {
                ExceptionDispatchInfo.Throw(exception.Flatten().InnerExceptions[0]); // as one thread would have
            }
        }

        LastTimes = times;
        Log.SnapshotLoaded(logger, manifest.Version, index.Items, times);
    }

    private static bool IsTrouble(Exception exception) =>
        exception is SnapshotFormatException or DaprException or RpcException or HttpRequestException or IOException or OperationCanceledException
            or InvalidProtocolBufferException or ModelRejectedException;
}
