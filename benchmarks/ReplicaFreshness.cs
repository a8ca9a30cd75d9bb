using System.Collections.Concurrent;
using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Snapshots;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Mesh.Benchmarks;

/// <summary>
/// One replica in process: its follower, started from a snapshot and fed batches as its topic would, while one thread searches. Half of the
/// updates are upserts with a new vector, half engagements. A change is retrievable when the index that serves is at its sequence number, which
/// is looked at every millisecond.
/// </summary>
internal sealed class ReplicaFreshness : IDisposable
{
    private const int BatchesPerSecond = 50;

    private readonly BenchmarkOptions _options;
    private readonly ItemRow[] _items;
    private readonly float[][] _queries;
    private readonly RowFilter[] _filters;
    private readonly Random _random;

    public ReplicaFreshness(BenchmarkOptions options)
    {
        _options = options;
        _random = new Random(options.Int("seed"));
        _items = [.. SyntheticSnapshot.Rows(options.Int("items"), options.Int("dimensions"), options.Int("seed"))];
        _queries = [.. Enumerable.Range(0, 64).Select(i => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(_items[i * 31].Embedding.Span).ToArray())];
        _filters = [RowFilter.Visible, RowFilters.Parse("language:en"), RowFilters.Parse("tag:tag-7 OR tag:tag-9"), RowFilters.Parse("NOT attribute.category:category-3")];
    }

    public async Task<Freshness> UpdateInPlaceAsync(CancellationToken cancellation)
    {
        var log = new MemoryLog(_items.Length);
        await SyntheticSnapshot.WriteAsync(log.Blobs, _items, _options.Int("dimensions"), cancellation);
        await using ServiceProvider services = Services(log);
        IndexFollower follower = services.GetRequiredService<IndexFollower>();
        IndexHolder holder = services.GetRequiredService<IndexHolder>();
        await follower.StartAsync(cancellation);
        while (holder.Current is null) await Task.Delay(20, cancellation);
        log.Forget();
        try
        {
            return await CompareAsync(() => holder.Current!, async (updates, stop) =>
            {
                await PublishAsync(updates, log, deltas => follower.Receive([deltas], CancellationToken.None), stop);
            }, () => holder.Current!.Sequence, cancellation);
        }
        finally
        {
            await follower.StopAsync(CancellationToken.None);
        }
    }

    /// <summary>The same changes go to a list; one thread makes a new index of everything, swaps it, and begins again.</summary>
    public async Task<Freshness> RebuildAsync(CancellationToken cancellation)
    {
        var limits = IndexLimits.From(Limits());
        var pool = new LiveIndex(IndexOrigin.None(72), limits, TimeProvider.System);
        foreach (ItemRow row in _items) pool.Load(row, out _);
        var waiting = new ConcurrentQueue<IndexDelta>();
        LiveIndex serving = pool.CopyAt((ulong)_items.Length, 1);
        return await CompareAsync(() => Volatile.Read(ref serving), async (updates, stop) =>
        {
            Task rebuilding = Task.Run(() =>
            {
                while (!stop.IsCancellationRequested)
                {
                    while (waiting.TryDequeue(out IndexDelta? delta)) pool.Apply(delta, out _);
                    Volatile.Write(ref serving, pool.CopyAt(pool.Sequence, 1));
                }
            }, CancellationToken.None);
            await PublishAsync(updates, new MemoryLog(_items.Length), batch =>
            {
                foreach (IndexDelta delta in batch.Deltas) waiting.Enqueue(delta);
                return Task.CompletedTask;
            }, stop);
            await rebuilding;
        }, () => Volatile.Read(ref serving).Sequence, cancellation);
    }

    public void Dispose()
    {
        // The pool goes with the object; nothing is open.
    }

    // Rounds of queries without and with updates, one after the other, so that what else the machine does meets both.
    private async Task<Freshness> CompareAsync(
        Func<LiveIndex> index, Func<Updates, CancellationToken, Task> update, Func<ulong> served, CancellationToken cancellation)
    {
        var duration = TimeSpan.FromSeconds(_options.Int("seconds"));
        var updates = new Updates((ulong)_items.Length);
        List<LoadResult> off = [], on = [];
        Search(index, duration / 4, cancellation);
        for (int round = 0; round < _options.Int("rounds"); round++)
        {
            off.Add(await Task.Run(() => Search(index, duration, cancellation), cancellation));
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task watching = WatchAsync(updates, served, stop.Token);
            Task updating = update(updates, stop.Token);
            on.Add(await Task.Run(() => Search(index, duration, cancellation), cancellation));
            await stop.CancelAsync();
            await Task.WhenAll(watching, updating);
            updates.Forget();
        }

        return new Freshness(Join(off), Join(on), updates.DelaysMs, updates.Published / (duration.TotalSeconds * _options.Int("rounds")));
    }

    private LoadResult Search(Func<LiveIndex> index, TimeSpan duration, CancellationToken cancellation)
    {
        var latencies = new List<double>();
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; Stopwatch.GetElapsedTime(started) < duration; i++)
        {
            var query = new QueryVectors(_queries[i % _queries.Length], _options.Int("dimensions"));
            long sent = Stopwatch.GetTimestamp();
            index().Vectors.Search(query, 300, _filters[i % _filters.Length], cancellation);
            latencies.Add(Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
        }

        return new LoadResult([.. latencies.Order()], 0, duration.TotalSeconds);
    }

    private async Task PublishAsync(Updates updates, MemoryLog log, Func<IndexDeltaBatch, Task> publish, CancellationToken stop)
    {
        int each = Math.Max(1, _options.Int("rate") / BatchesPerSecond);
        using var ticks = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / BatchesPerSecond));
        long started = Stopwatch.GetTimestamp();
        long published = 0;
        while (!stop.IsCancellationRequested)
        {
            // What a late tick left out is published with the next: the rate is kept.
            long due = (long)(Stopwatch.GetElapsedTime(started).TotalSeconds * _options.Int("rate"));
            for (; published + each <= due; published += each)
            {
                IndexDeltaBatch batch = Batch(updates, each);
                log.Append(batch.Deltas);
                updates.Note(batch);
                await publish(batch);
            }

            try
            {
                await ticks.WaitForNextTickAsync(stop);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private IndexDeltaBatch Batch(Updates updates, int count)
    {
        var batch = new IndexDeltaBatch { FirstSequence = updates.Newest + 1, HeadSequence = updates.Newest + (ulong)count };
        for (ulong sequence = batch.FirstSequence; sequence <= batch.HeadSequence; sequence++)
        {
            ItemRow row = _items[_random.Next(_items.Length)];
            var delta = new IndexDelta { Sequence = sequence };
            if (_random.Next(2) == 0)
            {
                delta.Engagement = new EngagementDelta { ItemId = row.Item.ItemId, Counters = row.Counters };
            }
            else
            {
                delta.Upserted = row.Clone();
                delta.Upserted.Version = sequence;
                ItemRow like = _items[_random.Next(_items.Length)]; // embedded anew: another vector, and the codes that go with it
                delta.Upserted.Embedding = like.Embedding;
                delta.Upserted.Codes.Clear();
                delta.Upserted.Codes.Add(like.Codes);
            }

            batch.Deltas.Add(delta);
        }

        return batch;
    }

    private static async Task WatchAsync(Updates updates, Func<ulong> served, CancellationToken stop)
    {
        using var ticks = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        try
        {
            while (await ticks.WaitForNextTickAsync(stop)) updates.Seen(served());
        }
        catch (OperationCanceledException)
        {
            updates.Seen(served());
        }
    }

    private RetrievalOptions Limits() => new() { ItemsMax = 2 * _items.Length };

    private ServiceProvider Services(MemoryLog log) => new ServiceCollection()
        .AddMetrics().AddLogging()
        .AddSingleton(TimeProvider.System)
        .AddSingleton<IOptions<RetrievalOptions>>(Microsoft.Extensions.Options.Options.Create(Limits()))
        .AddSingleton<IOptions<InferenceOptions>>(Microsoft.Extensions.Options.Options.Create(new InferenceOptions())).AddSingleton<InferenceRuntime>()
        .AddSingleton<ISnapshotBlobs>(log.Blobs).AddSingleton<IDeltaFeed>(log)
        .AddSingleton<IndexHolder>().AddSingleton<FollowerState>().AddSingleton<RetrievalMetrics>().AddSingleton<RefusedRows>()
        .AddSingleton<SnapshotLoader>().AddSingleton<IndexFollower>()
        .BuildServiceProvider();

    private static LoadResult Join(List<LoadResult> rounds) => new([.. rounds.SelectMany(round => round.LatenciesMs).Order()], 0, rounds.Sum(round => round.Seconds));

    /// <summary>When each change was published, and how long it took to be served.</summary>
    private sealed class Updates(ulong first)
    {
        private readonly Lock _gate = new();
        private readonly Queue<(ulong Sequence, int Count, long At)> _open = new();
        private readonly List<double> _delays = [];

        public ulong Newest { get; private set; } = first;

        public long Published { get; private set; }

        public List<double> DelaysMs
        {
            get
            {
                lock (_gate) return [.. _delays];
            }
        }

        public void Note(IndexDeltaBatch batch)
        {
            lock (_gate)
            {
                _open.Enqueue((batch.HeadSequence, batch.Deltas.Count, Stopwatch.GetTimestamp()));
                Newest = batch.HeadSequence;
                Published += batch.Deltas.Count;
            }
        }

        public void Seen(ulong sequence)
        {
            lock (_gate)
            {
                while (_open.TryPeek(out (ulong Sequence, int Count, long At) oldest) && oldest.Sequence <= sequence)
                {
                    _open.Dequeue();
                    double delay = Stopwatch.GetElapsedTime(oldest.At).TotalMilliseconds;
                    for (int i = 0; i < oldest.Count; i++) _delays.Add(delay);
                }
            }
        }

        /// <summary>What was under way at the end of a round is not measured.</summary>
        public void Forget()
        {
            lock (_gate) _open.Clear();
        }
    }
}
