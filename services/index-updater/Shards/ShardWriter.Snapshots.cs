using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Snapshots of the shard: a turn takes a capture, the files are written beside the turns, and another turn makes it the
/// newest. It is published by that turn's transaction, in which the head names it and the log tells the replicas.
/// </summary>
internal sealed partial class ShardWriter
{
    private const int TombstonesFoldedMax = 10_000;

    private readonly SnapshotMaker _maker;
    private readonly CancellationTokenSource _stopping = new();

    // Written within a turn.
    private Task _making = Task.CompletedTask;
    private string _makingVersion = "";

    /// <summary>
    /// Begins a snapshot, unless one is being made, and returns its version at once. It is there when the head of the log
    /// names it; if it fails the head says so too.
    /// </summary>
    public async Task<string> BeginSnapshotAsync(bool refit, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            return await BeginAsync(refit, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>What the reminder does: publishes what is waiting, and makes a snapshot if anything changed since the last.</summary>
    public async Task TickAsync(CancellationToken cancellation)
    {
        await OpenAsync(cancellation);
        await _turn.WaitAsync(cancellation);
        try
        {
            LoadedShard loaded = await EnsureLoadedAsync(cancellation);
            SnapshotRef? last = _log.Head.Snapshots.FirstOrDefault();
            await ResumeSwitchAsync(loaded, cancellation);
            bool changed = loaded.NeedsSnapshot || (last is null ? loaded.Catalogue.Items > 0 : _log.Head.NextBatch > last.IdleBatch);
            if (changed) await BeginAsync(refit: false, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Ends when no snapshot is being made.</summary>
    public Task SnapshotsDoneAsync() => _making;

    private async Task<string> BeginAsync(bool refit, CancellationToken cancellation, ModelSwitch? change = null)
    {
        LoadedShard loaded = await EnsureLoadedAsync(cancellation);
        if (!_making.IsCompleted) return _makingVersion;

        string version = Ulid.NewUlid(_with.Clock.GetUtcNow()).ToString();
        string abandoned = _log.Head.SnapshotAttempt;
        // Named before its files are written: whatever a crash leaves of them is found and deleted by the next attempt.
        await StoreAsync(loaded, NewTurn(loaded, NowMs), head => head.SnapshotAttempt = version, NowMs, cancellation);
        int items = loaded.Catalogue.Items;
        bool outgrown = _with.Options.RefitGrowth > 0 && items >= loaded.ItemsAtFit * _with.Options.RefitGrowth;
        ItemModel model = change?.Model ?? loaded.Model;
        var capture = new ShardCapture(
            version, _log.Head.Sequence, _log.Head.NextBatch, [.. loaded.Catalogue.Entries], loaded.Model, change, loaded.ItemsAtFit,
            Fit: items > 0 && model.FitsCodebooks && (refit || model.Codebooks is null || outgrown));
        CancellationToken stopping = change is null ? _stopping.Token : cancellation;
        _makingVersion = version;
        _making = Task.Run(() => MakeAsync(capture, abandoned, stopping), CancellationToken.None);
        return version;
    }

    private async Task MakeAsync(ShardCapture capture, string abandoned, CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            if (abandoned.Length > 0) await new SnapshotWriter(_with.Blobs).DiscardAsync(_shard, abandoned, cancellation);
            MadeSnapshot made = await _maker.MakeAsync(capture, cancellation);
            await InTurnAsync(() => AdoptAsync(capture, made, cancellation), cancellation);
            TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
            _with.Metrics.SnapshotMade(made.Manifest, elapsed);
            Log.SnapshotPublished(
                _with.Logger, made.Manifest.Version, _shard, made.Manifest.Items, made.Manifest.Sequence, made.Manifest.Files.Sum(file => file.Bytes), elapsed.TotalSeconds);
            await SendStaleAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The shard is closing, or another model was chosen than the one that this would have brought.
            if (!_stopping.IsCancellationRequested) await MarkFailedAsync(capture.Version, _stopping.Token);
        }
        catch (Exception exception)
        {
            _with.Metrics.SnapshotFailed();
            Log.SnapshotFailed(_with.Logger, capture.Version, _shard, exception);
            await MarkFailedAsync(capture.Version, _stopping.Token);
        }
    }

    // The publication. A crash before it leaves files that the head names as an attempt; one after it leaves a notice that
    // the next activation sends.
    private async Task AdoptAsync(ShardCapture capture, MadeSnapshot made, CancellationToken cancellation)
    {
        LoadedShard loaded = await EnsureLoadedAsync(cancellation);
        if (_log.Head.SnapshotAttempt != capture.Version) throw new InvalidOperationException($"Another writer has begun snapshot {_log.Head.SnapshotAttempt}.");

        await _log.PublishAsync(cancellation);
        bool quiet = _log.Head.NextBatch == capture.NextBatch;
        CatalogueTurn turn = NewTurn(loaded, NowMs);
        turn.Announce(new SnapshotNotice { Version = capture.Version, Sequence = capture.Sequence, ModelVersion = made.Manifest.ModelVersion });
        long tombstonesBefore = NowMs - (_with.Options.TombstoneDays * 86_400_000L);
        foreach (CatalogueEntry old in loaded.Catalogue.Entries.Where(entry => entry.IsTombstone && entry.ItemStamp!.Value.TimeMs < tombstonesBefore).Take(TombstonesFoldedMax))
        {
            turn.Forget(old.ItemId);
        }

        (ItemModel model, long itemsAtFit) = (loaded.Model, loaded.ItemsAtFit);
        (loaded.Model, loaded.ItemsAtFit) = (made.Model, made.ItemsAtFit);
        try
        {
            await StoreAsync(loaded, turn, head => Rename(head, capture, quiet), NowMs, cancellation);
        }
        catch
        {
            (loaded.Model, loaded.ItemsAtFit) = (model, itemsAtFit);
            throw;
        }

        loaded.NeedsSnapshot = false;
        if (model.Version != made.Model.Version) TakeOver(loaded, made);
        await _log.PublishAsync(cancellation);
    }

    private static void Rename(IndexLogHead head, ShardCapture capture, bool quiet)
    {
        head.Snapshots.Insert(0, new SnapshotRef
        {
            Version = capture.Version,
            Sequence = capture.Sequence,
            NextBatch = capture.NextBatch,
            // Where nothing came in between, the log ends with the notice until something changes.
            IdleBatch = quiet ? head.NextBatch : capture.NextBatch,
        });
        while (head.Snapshots.Count > SnapshotWriter.VersionsKept) head.Snapshots.RemoveAt(head.Snapshots.Count - 1);
        head.SnapshotAttempt = "";
        if (head.Snapshots.Count < 2) return;

        // The log goes back to the snapshot before this one: for replicas that are slow to load, and in case this one is damaged.
        head.TrimmedThrough = Math.Max(head.TrimmedThrough, head.Snapshots[1].Sequence);
        head.FirstBatch = Math.Max(head.FirstBatch, head.Snapshots[1].NextBatch);
    }

    // Rows that are as they were captured are rows of the new model in the snapshot, and a replica that loads it has them too.
    // Rows whose item came or changed since must be sent out again.
    private static void TakeOver(LoadedShard loaded, MadeSnapshot made)
    {
        loaded.StaleRows.Clear();
        foreach (CatalogueEntry row in loaded.Catalogue.Entries.Where(entry => entry.IsLive).ToList())
        {
            if (made.Encoded.TryGetValue(row.ItemId, out var encoded) && NotSentSince(encoded.Captured, row))
            {
                loaded.Catalogue.Set(row with { Embedding = encoded.Row.Embedding, Codes = encoded.Row.Codes, ModelVersion = encoded.Row.ModelVersion });
            }
            else
            {
                loaded.StaleRows.Enqueue(row.ItemId);
            }
        }
    }

    // Deltas with a whole row change the stamp (another item) or the model (sent again); others leave both.
    private static bool NotSentSince(CatalogueEntry captured, CatalogueEntry now) =>
        captured.ItemStamp == now.ItemStamp && captured.ModelVersion == now.ModelVersion;

    private async Task SendStaleAsync(CancellationToken cancellation)
    {
        while (_loaded is { StaleRows.Count: > 0 }) await OpenAsync(cancellation);
    }

    private async Task MarkFailedAsync(string version, CancellationToken cancellation)
    {
        try
        {
            await InTurnAsync(
                async () =>
                {
                    LoadedShard loaded = await EnsureLoadedAsync(cancellation);
                    await StoreAsync(loaded, NewTurn(loaded, NowMs), head => head.SnapshotFailed = version, NowMs, cancellation);
                },
                cancellation);
        }
        catch (Exception exception)
        {
            // Whoever waits for it runs into the time limit instead.
            Log.SnapshotFailed(_with.Logger, version, _shard, exception);
        }
    }

    private async Task InTurnAsync(Func<Task> work, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            await work();
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task StopSnapshotAsync()
    {
        await _stopping.CancelAsync();
        await StopSwitchAsync();
        await _making.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stopping.Dispose();
    }

    private long NowMs => _with.Clock.GetUtcNow().ToUnixTimeMilliseconds();
}
