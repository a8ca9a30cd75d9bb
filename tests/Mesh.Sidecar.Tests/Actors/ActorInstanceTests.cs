using Mesh.Sidecar.Actors;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>The turn lock of one actor.</summary>
public sealed class ActorInstanceTests
{
    private readonly ActorInstance _actor = new(new ActorKey("Cart", "7"), ActorTypeOptions.Default, DateTimeOffset.UnixEpoch);

    [Fact]
    public async Task Turns_are_given_in_the_order_of_arrival()
    {
        Assert.True(await _actor.EnterAsync(CancellationToken.None));
        var order = new List<int>();
        Task[] waiting = [.. Enumerable.Range(0, 50).Select(async i =>
        {
            Assert.True(await _actor.EnterAsync(CancellationToken.None));
            order.Add(i);
            _actor.Leave(DateTimeOffset.UnixEpoch);
        })];

        _actor.Leave(DateTimeOffset.UnixEpoch);
        await Task.WhenAll(waiting).InTime();

        Assert.Equal(Enumerable.Range(0, 50), order);
        Assert.False(_actor.IsBusy);
    }

    [Fact]
    public async Task A_line_that_is_full_is_refused_with_a_reason()
    {
        await _actor.EnterAsync(CancellationToken.None);
        for (int i = 0; i < ActorLimits.WaitingMax; i++) _ = _actor.EnterAsync(CancellationToken.None).AsTask();

        DaprApiException error = await Assert.ThrowsAsync<DaprApiException>(() => _actor.EnterAsync(CancellationToken.None).AsTask());

        Assert.Equal("ERR_ACTOR_INVOKE_METHOD", error.ErrorCode);
        Assert.Contains("1024 calls already wait", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_waits_when_it_closes_is_sent_to_look_again()
    {
        await _actor.EnterAsync(CancellationToken.None);
        Task<bool> waiting = _actor.EnterAsync(CancellationToken.None).AsTask();

        _actor.Close();

        Assert.False(await waiting.InTime());
        Assert.False(await _actor.EnterAsync(CancellationToken.None));
    }

    [Fact]
    public async Task A_cancelled_wait_leaves_the_line_and_the_next_is_served()
    {
        await _actor.EnterAsync(CancellationToken.None);
        using var leaving = new CancellationTokenSource();
        Task<bool> left = _actor.EnterAsync(leaving.Token).AsTask();
        Task<bool> next = _actor.EnterAsync(CancellationToken.None).AsTask();

        await leaving.CancelAsync();
        _actor.Leave(DateTimeOffset.UnixEpoch);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        Assert.True(await next.InTime());
    }

    [Fact]
    public async Task Under_cancellation_and_contention_there_is_never_more_than_one_turn_and_none_is_lost()
    {
        int inside = 0, turns = 0;
        var random = new Random(1);
        int[] delays = [.. Enumerable.Range(0, 400).Select(_ => random.Next(0, 4))];

        await Task.WhenAll(delays.Select(delay => Task.Run(async () =>
        {
            using var leaving = delay == 0 ? new CancellationTokenSource(TimeSpan.FromMilliseconds(1)) : new CancellationTokenSource();
            try
            {
                Assert.True(await _actor.EnterAsync(leaving.Token));
            }
            catch (OperationCanceledException)
            {
                return;
            }

            Assert.Equal(1, Interlocked.Increment(ref inside));
            await Task.Yield();
            turns++;
            Interlocked.Decrement(ref inside);
            _actor.Leave(DateTimeOffset.UnixEpoch);
        }))).InTime();

        Assert.InRange(turns, delays.Count(delay => delay != 0), delays.Length);
        Assert.False(_actor.IsBusy);
    }
}
