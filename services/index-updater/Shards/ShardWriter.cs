using System.Diagnostics;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>What a shard works with.</summary>
internal sealed record ShardDependencies(
    IShardState State, IDeltaPublisher Publisher, ISnapshotBlobs Blobs, IItemEncoder Encoder, IndexUpdaterOptions Options, TimeProvider Clock,
    IndexUpdaterMetrics Metrics, ILogger Logger);

/// <summary>
/// The single writer of one shard. A turn works out what changes, stores it, puts it into the catalogue and publishes it, in
/// this order. A crash before the storing leaves nothing, and the event comes again; one after it leaves a stored batch,
/// which the next turn or the next activation publishes first. An exception means "not acknowledged": the broker delivers
/// again, and what was stored after all is recognised as known.
/// </summary>
internal sealed partial class ShardWriter : IAsyncDisposable
{
    // Rows sent out again with new codes in one turn: 500 short ones are about 150 KB, and long ones stop at one batch. They
    // share a transaction with what the turn itself brings, and one that the sidecar refused would be refused for ever.
    private const int RecodesPerTurn = 500;
    private const int RecodeBytesMax = BatchPacker.BatchBytesMax;

    private readonly uint _shard;
    private readonly ShardDependencies _with;
    private readonly LogKeys _keys;
    private readonly DeltaLog _log;
    private readonly ShardLoader _loader;

    // Turns of the actor and of the snapshot that runs beside them.
    private readonly SemaphoreSlim _turn = new(1, 1);

    // Only touched within a turn. Null before the first turn, and after one whose outcome is unknown.
    private LoadedShard? _loaded;

    public ShardWriter(uint shard, ShardDependencies with)
    {
        _shard = shard;
        _with = with;
        _keys = new LogKeys(shard);
        _log = new DeltaLog(with.State, with.Publisher, _keys);
        _loader = new ShardLoader(shard, with.State, new SnapshotReader(with.Blobs), with.Encoder, with.Logger);
        _maker = new SnapshotMaker(shard, new SnapshotWriter(with.Blobs), with.Encoder, with.Options, with.Clock, with.Logger);
    }

    /// <summary>Loads the shard and publishes what an earlier writer stored and could not publish.</summary>
    public Task OpenAsync(CancellationToken cancellation) => TurnAsync(static _ => { }, cancellation);

    public Task AppendItemsAsync(ItemChanges changes, CancellationToken cancellation) => TurnAsync(
        turn =>
        {
            foreach (ItemChange change in changes.Changes)
            {
                Stamp stamp = Stamp.Of(change.TimeMs, change.EventId);
                if (change.ChangeCase == ItemChange.ChangeOneofCase.Upserted) turn.Upsert(change.Upserted, stamp);
                else turn.Delete(change.DeletedItemId, stamp);
            }
        },
        cancellation);

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
        work(turn);
        Recode(loaded, turn);
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
                    head.ModelVersion = loaded.ModelVersion;
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
        new TurnSettings(_with.Encoder, loaded.Codebooks, _with.Options.HalfLifeMs, _with.Options.OrphansMax, nowMs));

    // A few rows whose codes are not those of the codebooks ride along with every turn.
    private static void Recode(LoadedShard loaded, CatalogueTurn turn)
    {
        int bytes = 0;
        for (int i = 0; i < RecodesPerTurn && bytes < RecodeBytesMax && loaded.StaleCodes.TryDequeue(out string? itemId); i++) bytes += turn.Recode(itemId);
    }
}
