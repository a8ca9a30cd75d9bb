namespace Mesh.Sidecar.PubSub.Brokers;

/// <summary>
/// Wakes the consumers of a topic. A consumer reads <see cref="Version"/> before it looks for messages and waits for a later
/// one when it found none, so that a publish between the two is never missed.
/// </summary>
internal sealed class TopicSignal
{
    private static readonly TimeSpan TimerMax = TimeSpan.FromDays(1); // a timer takes 49 days at most
    private readonly Lock _gate = new();
    private TaskCompletionSource _next = New();
    private long _published;

    public long Version { get; private set; }

    /// <summary>Messages published in this process since it started.</summary>
    public long Published => Interlocked.Read(ref _published);

    public void Pulse(int published = 0)
    {
        TaskCompletionSource woken;
        lock (_gate)
        {
            _published += published;
            Version++;
            woken = _next;
            _next = New();
        }

        woken.TrySetResult();
    }

    /// <summary>Completes when the version has moved past <paramref name="seen"/>, or after <paramref name="longest"/>.</summary>
    public async Task WaitAsync(long seen, TimeSpan longest, TimeProvider clock, CancellationToken cancellation)
    {
        bool forever = longest == Timeout.InfiniteTimeSpan || longest > TimerMax;
        Task next;
        lock (_gate)
        {
            if (Version != seen || (!forever && longest <= TimeSpan.Zero)) return;
            next = _next.Task;
        }

        if (forever)
        {
            await next.WaitAsync(cancellation);
            return;
        }

        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task pause = Task.Delay(longest, clock, timer.Token);
        await Task.WhenAny(next, pause);
        await timer.CancelAsync();
        cancellation.ThrowIfCancellationRequested();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
