using System.Diagnostics;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>What a shard works with.</summary>
internal sealed record ShardDependencies(
    IShardState State, IDeltaPublisher Publisher, ISnapshotBlobs Blobs, IItemModels Models, IndexUpdaterOptions Options, TimeProvider Clock,
    IndexUpdaterMetrics Metrics, ILogger Logger);

/// <summary>
/// The single writer of one shard. A turn works out what changes, stores it, puts it into the catalogue and publishes it, in
/// this order. A crash before the storing leaves nothing, and the event comes again; one after it leaves a stored batch,
/// which the next turn or the next activation publishes first. An exception means "not acknowledged": the broker delivers
/// again, and what was stored after all is recognised as known.
/// </summary>
internal sealed partial class ShardWriter : IAsyncDisposable
{
    // Rows sent out again as rows of the live model in one turn: 500 short ones are about 150 KB, and long ones stop at one batch. They
    // share a transaction with what the turn itself brings, and one that the sidecar refused would be refused for ever.
    private const int StaleRowsPerTurn = 500;
    private const int StaleBytesPerTurn = BatchPacker.BatchBytesMax;

    private readonly uint _shard;
    private readonly ShardDependencies _with;
    private readonly LogKeys _keys;
    private readonly DeltaLog _log;
    private readonly ShardLoader _loader;

    // Turns of the actor and of the snapshot that runs beside them.
    private readonly SemaphoreSlim _turn = new(1, 1);

    // Of the last turn; read beside the turns.
    private volatile ItemModel? _liveModel;

    // Only touched within a turn. Null before the first turn, and after one whose outcome is unknown.
    private LoadedShard? _loaded;

    public ShardWriter(uint shard, ShardDependencies with)
    {
        _shard = shard;
        _with = with;
        _keys = new LogKeys(shard);
        _log = new DeltaLog(with.State, with.Publisher, _keys, with.Options.Shards);
        _loader = new ShardLoader(shard, with.Options.Shards, with.State, new SnapshotReader(with.Blobs), with.Models, with.Logger);
        _maker = new SnapshotMaker(shard, new SnapshotWriter(with.Blobs), with.Options, with.Clock, with.Logger);
    }

    /// <summary>Loads the shard and publishes what an earlier writer stored and could not publish.</summary>
    public Task OpenAsync(CancellationToken cancellation) => TurnAsync(static _ => { }, cancellation);

    public Task AppendItemsAsync(ItemChanges changes, CancellationToken cancellation)
    {
        Item[] items = [.. changes.Changes.Where(change => change.ChangeCase == ItemChange.ChangeOneofCase.Upserted).Select(change => change.Upserted)];
        // Beside the turns, all in one batch. A model that goes live before this turn comes makes it encode them again.
        ItemModel? ahead = _liveModel;
        EncodedItem[] encoded = ahead?.Encode(items) ?? [];
        return TurnAsync(
            turn =>
            {
                if (turn.Model != ahead) encoded = turn.Model.Encode(items);
                int next = 0;
                foreach (ItemChange change in changes.Changes)
                {
                    Stamp stamp = Stamp.Of(change.TimeMs, change.EventId);
                    if (change.ChangeCase == ItemChange.ChangeOneofCase.Upserted) turn.Upsert(change.Upserted, encoded[next++], stamp);
                    else turn.Delete(change.DeletedItemId, stamp);
                }
            },
            cancellation);
    }

    public Task AppendEligibilityAsync(EligibilityChanges changes, CancellationToken cancellation) => TurnAsync(
        turn =>
        {
            foreach (EligibilityChange change in changes.Changes) turn.Patch(change);
        },
        cancellation);

    public Task AppendCountsAsync(CounterEvents events, CancellationToken cancellation) => TurnAsync(
        turn =>
        {
            foreach (CounterEvent counted in events.Events) turn.Count(counted);
            turn.EmitCounts();
        },
        cancellation);

    /// <summary>The row of an item, or null.</summary>
    public async Task<ItemRow?> FindAsync(string itemId, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            LoadedShard loaded = await EnsureLoadedAsync(cancellation);
            return loaded.Catalogue.Find(itemId) is { IsLive: true } row ? row.ToRow() : null;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Checksum of all rows, as of one sequence number: what replicas compare theirs with.</summary>
    public async Task<RowsDigest> DigestAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            LoadedShard loaded = await EnsureLoadedAsync(cancellation);
            var digest = new RowSetDigest();
            foreach (CatalogueEntry row in loaded.Catalogue.Rows) digest.Add(row.ItemId, row.Version);
            return new RowsDigest { Shard = _shard, Sequence = _log.Head.Sequence, Items = digest.Count, Digest = digest.Value, ModelVersion = loaded.Model.Version };
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>What is in memory; null when the next turn would load. Only while no turn runs.</summary>
    internal LoadedShard? LoadedForTesting => _loaded;

    public async ValueTask DisposeAsync()
    {
        await StopSnapshotAsync();
        _turn.Dispose();
    }

    private async Task TurnAsync(Action<CatalogueTurn> work, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            try
            {
                await RunAsync(work, cancellation);
            }
            catch (LogMovedException)
            {
                // Nothing was stored. Read again what the store has now, and work the turn out against that.
                Log.LogMoved(_with.Logger, _shard);
                await RunAsync(work, cancellation);
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task RunAsync(Action<CatalogueTurn> work, CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        LoadedShard loaded = await EnsureLoadedAsync(cancellation);
        // What an earlier turn stored and could not publish goes first: readers get batches in order, and while the broker
        // is away nothing new is stored.
        await _log.PublishAsync(cancellation);

        long nowMs = _with.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        CatalogueTurn turn = NewTurn(loaded, nowMs);
        _liveModel = loaded.Model;
        work(turn);
        SendStale(loaded, turn);
        await StoreAsync(loaded, turn, null, nowMs, cancellation);
        await _log.PublishAsync(cancellation);
        _with.Metrics.Appended(turn.Deltas, turn.Ignored, Stopwatch.GetElapsedTime(started), nowMs);
    }

    private async Task StoreAsync(LoadedShard loaded, CatalogueTurn turn, Action<IndexLogHead>? change, long nowMs, CancellationToken cancellation)
    {
        List<IndexLogBatch> batches = BatchPacker.Pack(_log.Head.Sequence, turn.Deltas, turn.States());
        if (batches.Count == 0 && turn.NewEvents.Count == 0 && change is null) return;

        var pages = loaded.Window.PagesWith(turn.NewEvents).ToDictionary(page => _keys.Events(page.Key), page => page.Value.ToByteArray());
        int items = loaded.Catalogue.Items + turn.ItemsGained();
        try
        {
            await _log.StoreAsync(
                batches,
                pages,
                head =>
                {
                    head.EventsSeen += (ulong)turn.NewEvents.Count;
                    head.Items = items;
                    head.ModelVersion = loaded.Model.Version;
                    head.ItemsAtFit = loaded.ItemsAtFit;
                    if (turn.Deltas.Find(delta => delta.EventTimeMs > 0) is { } delta) head.LastEventLagMs = Math.Max(0, nowMs - delta.EventTimeMs);
                    change?.Invoke(head);
                },
                cancellation);
        }
        catch
        {
            // Stored or not: nobody knows. The next turn reads it from the store.
            _loaded = null;
            throw;
        }

        turn.Commit();
    }

    private async Task<LoadedShard> EnsureLoadedAsync(CancellationToken cancellation) => _loaded ??= await _loader.LoadAsync(_log, cancellation);

    private CatalogueTurn NewTurn(LoadedShard loaded, long nowMs) => new(
        loaded.Catalogue,
        loaded.Window,
        _log.Head.Sequence,
        new TurnSettings(loaded.Model, _with.Options.HalfLifeMs, _with.Options.OrphansMax, nowMs));

    // A few rows that are not of the live model ride along with every turn.
    private static void SendStale(LoadedShard loaded, CatalogueTurn turn)
    {
        var rows = new Dictionary<string, CatalogueEntry>(StringComparer.Ordinal);
        for (int bytes = 0; rows.Count < StaleRowsPerTurn && bytes < StaleBytesPerTurn && loaded.StaleRows.TryDequeue(out string? itemId);)
        {
            if (turn.FindStale(itemId) is { } row && rows.TryAdd(itemId, row)) bytes += row.ToRow().CalculateSize();
        }

        turn.EncodeAgain([.. rows.Values]);
    }
}
