using Mesh.Contracts.Storage;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Writing;

/// <summary>
/// Gathers counts over many deliveries, so that an item that a thousand users like at once is one delta and not a thousand.
/// Whoever adds counts waits until the flush that holds them is stored: nothing is acknowledged that could still be lost. What
/// is held is bounded by what the broker has in flight, and a flush goes early when it is full.
/// </summary>
internal sealed class CountCoalescer(IShardClient shards, IOptions<IndexUpdaterOptions> options, TimeProvider clock)
{
    /// <summary>Increments in one call: with ids of 128 characters 1.2 MB, and as many deltas at most.</summary>
    internal const int IncrementsMax = 8_192;

    private readonly Lock _gate = new();

    // Under the gate: the gathering of each shard that has not been sent yet.
    private readonly Dictionary<uint, Gathering> _open = [];

    /// <summary>Ends when every event is stored; fails when one of their flushes fails.</summary>
    public Task CountAsync(IReadOnlyCollection<(uint Shard, CounterEvent Event)> events, CancellationToken cancellation)
    {
        var flushes = new HashSet<Task>();
        foreach ((uint shard, CounterEvent counted) in events) flushes.Add(Add(shard, counted));
        return Task.WhenAll(flushes).WaitAsync(cancellation);
    }

    private Task Add(uint shard, CounterEvent counted)
    {
        lock (_gate)
        {
            if (_open.TryGetValue(shard, out Gathering? open) && open.Increments + counted.ItemIds.Count > IncrementsMax)
            {
                _open.Remove(shard);
                open.Full.TrySetResult();
                open = null;
            }

            bool isNew = open is null;
            open ??= _open[shard] = new Gathering();
            open.Events.Events.Add(counted);
            open.Increments += counted.ItemIds.Count;
            // Last: with no time to wait, the flush sends what it holds before it returns.
            if (isNew) _ = FlushAsync(shard, open);
            return open.Done.Task;
        }
    }

    private async Task FlushAsync(uint shard, Gathering gathering)
    {
        await Task.WhenAny(gathering.Full.Task, Task.Delay(TimeSpan.FromMilliseconds(options.Value.CoalesceMs), clock));
        lock (_gate)
        {
            if (_open.GetValueOrDefault(shard) == gathering) _open.Remove(shard);
        }

        try
        {
            // Not cancelled with one of its deliveries: the others still wait. The client has its own time limit.
            await shards.AppendCountsAsync(shard, gathering.Events, CancellationToken.None);
            gathering.Done.TrySetResult();
        }
        catch (Exception exception)
        {
            gathering.Done.TrySetException(exception);
        }
    }

    private sealed class Gathering
    {
        public CounterEvents Events { get; } = new();

        public int Increments { get; set; }

        public TaskCompletionSource Full { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
