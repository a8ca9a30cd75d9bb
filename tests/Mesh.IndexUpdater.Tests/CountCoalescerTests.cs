using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Writing;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.IndexUpdater.Tests;

public sealed class CountCoalescerTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly FakeTimeProvider _clock = new();
    private readonly RecordingClient _client = new();

    private CountCoalescer Coalescer => field ??= new CountCoalescer(_client, Options.Create(new IndexUpdaterOptions { CoalesceMs = 250 }), _clock);

    [Fact]
    public async Task Deliveries_within_the_window_go_out_as_one_call_and_each_waits_for_it()
    {
        Task first = Coalescer.CountAsync([(0, Event(1)), (0, Event(2))], default);
        Task second = Coalescer.CountAsync([(0, Event(3))], default);
        Assert.Empty(_client.Calls);

        _clock.Advance(TimeSpan.FromMilliseconds(250));
        await _client.NextCallAsync();
        Assert.False(first.IsCompleted);
        Assert.False(second.IsCompleted);
        _client.Answer.SetResult();
        await Task.WhenAll(first, second).WaitAsync(Patience);

        Assert.Equal([1, 2, 3], Assert.Single(_client.Calls).Events.Events.Select(counted => (int)counted.Event));
    }

    [Fact]
    public async Task A_flush_that_fails_fails_every_delivery_in_it_and_no_other()
    {
        Task failed = Coalescer.CountAsync([(0, Event(1))], default);
        _clock.Advance(TimeSpan.FromMilliseconds(250));
        await _client.NextCallAsync();
        Task later = Coalescer.CountAsync([(0, Event(2))], default);
        _client.Answer.SetException(new IOException("The shard is away."));
        await Assert.ThrowsAsync<IOException>(() => failed.WaitAsync(Patience));

        _client.Answer = new TaskCompletionSource();
        _client.Answer.SetResult();
        _clock.Advance(TimeSpan.FromMilliseconds(250));
        await later.WaitAsync(Patience);

        Assert.Equal(2, _client.Calls.Count);
    }

    [Fact]
    public async Task A_full_gathering_goes_out_at_once()
    {
        _client.Answer.SetResult();
        CounterEvent page = new() { Event = 1, ItemIds = { Enumerable.Range(0, 1_000).Select(i => $"item-{i}") } };

        Task counted = Coalescer.CountAsync([.. Enumerable.Repeat((0u, page), 20)], default);
        await _client.NextCallAsync();
        await _client.NextCallAsync();

        Assert.All(_client.Calls, call => Assert.InRange(call.Events.Events.Sum(e => e.ItemIds.Count), 1, CountCoalescer.IncrementsMax));
        _clock.Advance(TimeSpan.FromMilliseconds(250));
        await counted.WaitAsync(Patience);
        Assert.Equal(20, _client.Calls.Sum(call => call.Events.Events.Count));
    }

    [Fact]
    public async Task Without_a_window_every_event_is_in_the_call_that_it_waits_for()
    {
        _client.Answer.SetResult();
        var coalescer = new CountCoalescer(_client, Options.Create(new IndexUpdaterOptions { CoalesceMs = 0 }), _clock);

        await coalescer.CountAsync([(0, Event(1)), (0, Event(2))], default).WaitAsync(Patience);

        Assert.Equal([1ul, 2ul], _client.Sent.Order());
    }

    [Fact]
    public async Task Shards_are_gathered_apart()
    {
        _client.Answer.SetResult();
        Task counted = Coalescer.CountAsync([(0, Event(1)), (1, Event(2)), (0, Event(3))], default);

        _clock.Advance(TimeSpan.FromMilliseconds(250));
        await counted.WaitAsync(Patience);

        Assert.Equal([(0u, 2), (1u, 1)], _client.Calls.OrderBy(call => call.Shard).Select(call => (call.Shard, call.Events.Events.Count)));
    }

    private static CounterEvent Event(ulong id) => new() { Event = id, ItemIds = { "item" } };

    private sealed class RecordingClient : IShardClient
    {
        private readonly SemaphoreSlim _called = new(0);
        private readonly List<(uint Shard, CounterEvents Events)> _calls = [];

        public TaskCompletionSource Answer { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public IReadOnlyList<(uint Shard, CounterEvents Events)> Calls
        {
            get
            {
                lock (_calls) return [.. _calls];
            }
        }

        /// <summary>Event ids as they were when the calls were made: that is what crosses to the actor.</summary>
        public List<ulong> Sent { get; } = [];

        public async Task NextCallAsync() => Assert.True(await _called.WaitAsync(Patience), "No call came.");

        public Task AppendCountsAsync(uint shard, CounterEvents events, CancellationToken cancellation)
        {
            lock (_calls)
            {
                _calls.Add((shard, events));
                Sent.AddRange(events.Events.Select(counted => counted.Event));
            }

            _called.Release();
            return Answer.Task;
        }

        public Task AppendItemsAsync(uint shard, ItemChanges changes, CancellationToken cancellation) => throw new NotSupportedException();

        public Task AppendEligibilityAsync(uint shard, EligibilityChanges changes, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<string> BeginSnapshotAsync(uint shard, bool refit, CancellationToken cancellation) => throw new NotSupportedException();

        public Task ChangeModelAsync(uint shard, ModelChange change, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<ItemRow?> FindAsync(uint shard, string itemId, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<RowsDigest> DigestAsync(uint shard, CancellationToken cancellation) => throw new NotSupportedException();
    }
}
