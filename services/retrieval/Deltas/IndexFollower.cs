using System.Threading.Channels;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Inference;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Deltas;

/// <summary>
/// The one writer: loads the newest snapshot, replays the log after it, then applies the live stream for ever.
/// The stream may lose, repeat and reorder; the log of index-updater is the authority. Deltas are applied strictly in
/// sequence: older ones are skipped, a gap is fetched from the log, and every few seconds the head is compared, so that a
/// lost last message cannot leave a replica stale. Nothing here is durable: after a crash the replica starts from snapshot
/// and log again, which is why a delivery is acknowledged as soon as it is in the inbox.
/// </summary>
internal sealed class IndexFollower(
    IDeltaFeed feed, SnapshotLoader loader, IndexHolder holder, FollowerState state, RefusedRows refused, RetrievalMetrics metrics,
    TimeProvider clock, IOptions<RetrievalOptions> options, ILogger<IndexFollower> logger) : BackgroundService
{
    private const int BackoffMinMs = 100;

    private const int BackgroundThreads = 1; // the other cores are the requests'

    private readonly RetrievalOptions _options = options.Value;
    private readonly ReorderBuffer _ahead = new(options.Value.ReorderMax);
    private readonly Channel<Work> _inbox = Channel.CreateBounded<Work>(new BoundedChannelOptions(options.Value.InboxMax) { SingleReader = true });

    // All below belong to the writer loop.
    private bool _isReachable = true;
    private bool _isLoading;
    private Task _loading = Task.CompletedTask;
    private Compaction? _compaction; // under way
    private bool _mustReload;     // the log no longer reaches back to this index, or is another log
    private bool _waitsForProbe;  // the last load came to nothing: not again before the next probe
    private int _headBelowUs;     // probes in a row that saw a head before our own sequence number
    private ulong _noticed;       // sequence number of the newest snapshot announced

    /// <summary>
    /// Takes deliveries of the topic. A full inbox is answered with success too: what is discarded is fetched from the
    /// log, in order, and redelivery could do no better.
    /// </summary>
    public Task<IReadOnlyList<Delivery>> Receive(IReadOnlyList<IndexDeltaBatch> batches, CancellationToken cancellation)
    {
        var deliveries = new Delivery[batches.Count];
        for (int i = 0; i < batches.Count; i++)
        {
            IndexDeltaBatch batch = batches[i];
            deliveries[i] = IsConsecutive(batch) ? Delivery.Success : Delivery.Drop;
            if (deliveries[i] == Delivery.Drop) Log.BatchDropped(logger, batch.FirstSequence, batch.Deltas.Count);
            else if (batch.Shard == _options.Shard && !_inbox.Writer.TryWrite(new Arrived(batch))) metrics.DeltasDiscarded(batch.Deltas.Count);
        }

        return Task.FromResult<IReadOnlyList<Delivery>>(deliveries);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Swap(await LoadAndReplayAsync(stoppingToken), "start");
        state.MarkStarted();
        TimeSpan interval = TimeSpan.FromMilliseconds(_options.ProbeIntervalMs);
        await using ITimer probe = clock.CreateTimer(_ => _inbox.Writer.TryWrite(Probe.Instance), null, interval, interval);
        await foreach (Work work in _inbox.Reader.ReadAllAsync(stoppingToken))
        {
            try
            {
                await HandleAsync(work, stoppingToken);
            }
            catch (FeedException exception)
            {
                NoteReach(false, exception.Message); // go on with what there is; the next delivery or probe tries again
            }

            state.NoteApplied(holder.Current!.Sequence);
        }
    }

    private async Task<LiveIndex> LoadAndReplayAsync(CancellationToken cancellation)
    {
        int pauseMs = BackoffMinMs;
        LiveIndex? index = null; // kept between tries: a replay that was cut goes on where it was
        while (true)
        {
            try
            {
                index ??= await loader.LoadLatestAsync(cancellation);
                if (await CatchUpAsync(index, cancellation) == CatchUp.Complete) return index;
                index.Tower?.Dispose();
                index = null;
                NoteReach(false, "its log does not fit its newest snapshot");
            }
            catch (FeedException exception)
            {
                NoteReach(false, exception.Message);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(pauseMs), clock, cancellation);
            pauseMs = Math.Min(2 * pauseMs, _options.BackoffMaxMs);
        }
    }

    private async Task HandleAsync(Work work, CancellationToken cancellation)
    {
        if (_compaction is { Task.IsFaulted: true } broken) await broken.Task;
        if (_loading.IsFaulted) await _loading; // a bug, not trouble with the feed: stop the service, as one in this loop would
        switch (work)
        {
            case Arrived arrived:
                await ReceiveAsync(arrived.Batch, cancellation);
                break;
            case Loaded loaded:
                await TakeOverOrDropAsync(loaded.Index, cancellation);
                break;
            case Compacted compacted:
                Finish(compacted.Compaction);
                break;
            case Outgrown outgrown:
                Adopt(outgrown.Origin);
                break;
            default:
                await ProbeAsync(cancellation);
                break;
        }

        LiveIndex index = holder.Current!;
        index.RestoreAuthors(() => _inbox.Reader.Count > 0);
        if (_compaction is null && index.WantsCompaction(_options.TombstonesMaxShare)) StartCompaction(index, cancellation);
        if ((_mustReload || _noticed > index.Origin.Sequence) && !_isLoading && !_waitsForProbe) StartLoading(cancellation);
    }

    private async Task ReceiveAsync(IndexDeltaBatch batch, CancellationToken cancellation)
    {
        LiveIndex index = holder.Current!;
        Take(index, batch);

        // Batches that wait already may fill the gap that this one shows.
        while (_ahead.Count > 0 && _ahead.Count < _options.ReorderMax / 2
            && _inbox.Reader.TryPeek(out Work? next) && next is Arrived arrived && _inbox.Reader.TryRead(out _))
        {
            Take(index, arrived.Batch);
        }

        while (_ahead.Count > 0 && !_mustReload) await RepairAsync(index, cancellation);
    }

    // Only this loop fetches, so a gap is fetched once however many batches show it.
    private async Task RepairAsync(LiveIndex index, CancellationToken cancellation)
    {
        ulong before = index.Sequence;
        ulong missing = _ahead.First - before - 1;
        IndexDeltaBatch range = await feed.GetDeltasAsync(before, (int)Math.Min(missing, (ulong)_options.ReplayBatchMax), cancellation);
        NoteReach(true);
        if (range.TruncatedLog)
        {
            _mustReload = true;
            return;
        }

        ApplyLive(index, range.Deltas);
        if (index.Sequence == before) throw new FeedException($"its log gave nothing after {before}, though {_ahead.First} was published");
        metrics.GapRepaired("gap");
        Log.GapRepaired(logger, before + 1, index.Sequence);
        ApplyLive(index, _ahead.TakeNext(index.Sequence));
    }

    private void Take(LiveIndex index, IndexDeltaBatch batch)
    {
        state.NoteHead(batch.HeadSequence);
        if (_ahead.Count == 0 && batch.FirstSequence <= index.Sequence + 1)
        {
            ApplyLive(index, batch.Deltas); // in turn, as nearly all are: no need to pass through the buffer
            return;
        }

        int discarded = 0;
        foreach (IndexDelta delta in batch.Deltas) discarded += _ahead.Add(delta, index.Sequence);
        if (discarded > 0) metrics.DeltasDiscarded(discarded);
        ApplyLive(index, _ahead.TakeNext(index.Sequence));
    }

    private async Task ProbeAsync(CancellationToken cancellation)
    {
        refused.Report();
        _waitsForProbe = false;
        LiveIndex index = holder.Current!;
        ulong before = index.Sequence;
        CatchUp caught = await CatchUpAsync(index, cancellation);
        if (index.Sequence > before) metrics.GapRepaired("probe");
        if (caught == CatchUp.Truncated) _mustReload = true;

        // Seen twice, because a first look may race a restart of index-updater. Its log was lost: what this index holds is
        // of another history, and new deltas would all look old.
        _headBelowUs = caught == CatchUp.HeadBelow ? _headBelowUs + 1 : 0;
        if (_headBelowUs < 2) return;
        if (_headBelowUs == 2) Log.LogLost(logger, state.Head, index.Sequence); // once: loading may outlast many probes
        _mustReload = true;
    }

    private async Task<CatchUp> CatchUpAsync(LiveIndex index, CancellationToken cancellation)
    {
        while (true)
        {
            IndexDeltaBatch batch = await feed.GetDeltasAsync(index.Sequence, _options.ReplayBatchMax, cancellation);
            NoteReach(true);
            state.NoteHead(batch.HeadSequence, mayFall: true);
            if (batch.TruncatedLog) return CatchUp.Truncated;
            if (batch.HeadSequence < index.Sequence) return CatchUp.HeadBelow;
            if (batch.HeadSequence == index.Sequence) return CatchUp.Complete;

            ulong before = index.Sequence;
            ApplyAll(index, batch.Deltas);
            if (index.Sequence == before) throw new FeedException($"its log gave nothing after {before}, though its head is {batch.HeadSequence}");
        }
    }

    private void ApplyLive(LiveIndex index, IReadOnlyList<IndexDelta> deltas)
    {
        ulong before = index.Sequence;
        ApplyAll(index, deltas);
        foreach (IndexDelta delta in deltas)
        {
            if (delta.Sequence > before && delta.EventTimeMs > 0) metrics.DeltaLag(state.NoteLag(delta.EventTimeMs));
        }
    }

    private void ApplyAll(LiveIndex index, IReadOnlyList<IndexDelta> deltas)
    {
        ulong before = index.Sequence;
        foreach (IndexDelta delta in deltas)
        {
            if (delta.Sequence <= index.Sequence) continue;
            if (delta.Sequence != index.Sequence + 1) throw new FeedException($"its log gave {delta.Sequence} after {index.Sequence}");
            Applied applied = index.Apply(delta, out string reason);
            if (_compaction?.From == index) _compaction.Note(delta);
            if (applied == Applied.Refused) refused.Note(delta.Upserted.Item?.ItemId ?? "", reason);
            if (applied == Applied.OtherModel) metrics.RowOfOtherModel();
            if (delta.DeltaCase == IndexDelta.DeltaOneofCase.Snapshot) _noticed = Math.Max(_noticed, delta.Snapshot.Sequence);
        }

        metrics.DeltasApplied((long)(index.Sequence - before));
    }

    // Readers and the writer go on with the index; its deltas are noted from here on.
    private void StartCompaction(LiveIndex index, CancellationToken cancellation)
    {
        var compaction = new Compaction(index, _options.CompactionDeltasMax);
        _compaction = compaction;
        compaction.Start(BackgroundThreads, () => _inbox.Writer.WriteAsync(new Compacted(compaction), cancellation), cancellation);
    }

    private void Finish(Compaction compaction)
    {
        _compaction = null;
        LiveIndex index = holder.Current!;
        if (compaction.From != index) return; // a snapshot has taken its place
        if (compaction.TryFinish() is { } copy) Swap(copy, "compaction");
        else Log.CompactionOutrun(logger, _options.CompactionDeltasMax); // it begins anew after the next work
    }

    private void StartLoading(CancellationToken cancellation)
    {
        _isLoading = true;
        // What the stream brought while another model was live is not in this index: a snapshot of its own model brings it back.
        IndexOrigin? mayAdopt = _mustReload || holder.Current!.HasPassedRows ? null : holder.Current!.Origin;
        _loading = Task.Run(async () => await _inbox.Writer.WriteAsync(await LoadInBackgroundAsync(mayAdopt, cancellation), cancellation), cancellation);
    }

    // Loading takes seconds at a million rows; the live stream goes on meanwhile, and TakeOverAsync replays what it missed.
    // A snapshot of the model in use brings nothing but its name, so its files are not read: snapshots come every minute.
    private async Task<Work> LoadInBackgroundAsync(IndexOrigin? mayAdopt, CancellationToken cancellation)
    {
        try
        {
            (IndexOrigin origin, SnapshotManifest? manifest) = await loader.FindLatestAsync(cancellation);
            if (mayAdopt is not null && manifest is not null && origin.HasModelOf(mayAdopt)) return new Outgrown(origin);
            return new Loaded(await loader.LoadAsync(origin, manifest, BackgroundThreads, cancellation));
        }
        catch (FeedException exception)
        {
            Log.SnapshotNotLoaded(logger, exception.Message);
            return new Loaded(null);
        }
    }

    private void Adopt(IndexOrigin newer)
    {
        _isLoading = false;
        _waitsForProbe = true; // until it has the name
        LiveIndex current = holder.Current!;
        if (current.HasPassedRows || !newer.HasModelOf(current.Origin) || newer.Sequence <= current.Origin.Sequence || newer.Sequence > current.Sequence) return;
        _waitsForProbe = false;
        current.Adopt(newer);
        Log.SnapshotAdopted(logger, newer.Version, newer.Sequence);
    }

    private async Task TakeOverOrDropAsync(LiveIndex? loaded, CancellationToken cancellation)
    {
        bool isTaken = false;
        try
        {
            isTaken = await TakeOverAsync(loaded, cancellation);
        }
        finally
        {
            if (!isTaken) loaded?.Tower?.Dispose();
        }
    }

    private async Task<bool> TakeOverAsync(LiveIndex? loaded, CancellationToken cancellation)
    {
        _isLoading = false;
        _waitsForProbe = true; // until this one is in use
        LiveIndex current = holder.Current!;
        if (loaded is null || (!_mustReload && loaded.Origin.Sequence <= current.Origin.Sequence)) return false;

        CatchUp caught = await CatchUpAsync(loaded, cancellation);
        if (caught != CatchUp.Complete || (!_mustReload && loaded.Sequence < current.Sequence)) return false;
        _waitsForProbe = false;
        _mustReload = false;
        _headBelowUs = 0;
        Swap(loaded, "snapshot");
        return true;
    }

    private void Swap(LiveIndex index, string cause)
    {
        UserTower? before = holder.Current?.Tower;
        holder.Current = index; // one reference: a request that took the old index finishes on it
        if (before != index.Tower) before?.Dispose();
        state.NoteApplied(index.Sequence);
        metrics.Swapped(cause);
        Log.IndexSwapped(logger, cause, index.Origin.Version, index.Sequence, index.Items, index.ModelVersion, index.Tower is null ? "without" : "with");
        refused.Report();
    }

    private void NoteReach(bool isReachable, string reason = "")
    {
        if (isReachable == _isReachable) return;
        _isReachable = isReachable;
        if (isReachable) Log.FeedReached(logger);
        else Log.FeedLost(logger, reason);
    }

    private static bool IsConsecutive(IndexDeltaBatch batch)
    {
        for (int i = 0; i < batch.Deltas.Count; i++)
        {
            if (batch.Deltas[i].Sequence != batch.FirstSequence + (ulong)i) return false;
        }

        return true;
    }

    private enum CatchUp
    {
        /// <summary>The index holds every delta of the log.</summary>
        Complete,

        /// <summary>Deltas right after the index were folded into a snapshot.</summary>
        Truncated,

        /// <summary>The log ends before the index does.</summary>
        HeadBelow,
    }

    private abstract record Work;

    private sealed record Arrived(IndexDeltaBatch Batch) : Work;

    private sealed record Loaded(LiveIndex? Index) : Work;

    private sealed record Compacted(Compaction Compaction) : Work;

    private sealed record Outgrown(IndexOrigin Origin) : Work;

    private sealed record Probe : Work
    {
        public static readonly Probe Instance = new();
    }
}
