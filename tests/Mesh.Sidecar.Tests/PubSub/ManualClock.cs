namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>Time that moves when the test says so. Tells when somebody has begun to wait on it.</summary>
internal sealed class ManualClock : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Timer> _timers = [];
    private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private TaskCompletionSource _waitedOn = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate) return _now;
    }

    public override long GetTimestamp() => GetUtcNow().Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Completes when a one-shot timer has been started since the last call.</summary>
    public async Task WhenWaitedOnAsync()
    {
        Task waitedOn;
        lock (_gate) waitedOn = _waitedOn.Task;
        await waitedOn.WaitAsync(TimeSpan.FromSeconds(20));
        lock (_gate)
        {
            if (_waitedOn.Task.IsCompleted) _waitedOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    public void Advance(TimeSpan by)
    {
        DateTimeOffset until;
        lock (_gate) until = _now + by;
        while (true)
        {
            Timer? next;
            lock (_gate)
            {
                next = _timers.Where(timer => timer.DueAt <= until).MinBy(timer => timer.DueAt);
                _now = next is null || next.DueAt < _now ? (next is null ? until : _now) : next.DueAt!.Value;
                next?.Reschedule();
            }

            if (next is null) return;
            next.Fire();
        }
    }

    private sealed class Timer(ManualClock clock, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period;

        public DateTimeOffset? DueAt { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._gate)
            {
                clock._timers.Remove(this);
                _period = period;
                DueAt = dueTime < TimeSpan.Zero ? null : clock._now + dueTime;
                if (DueAt is null) return true;
                clock._timers.Add(this);
                if (period <= TimeSpan.Zero) clock._waitedOn.TrySetResult();
            }

            return true;
        }

        public void Reschedule()
        {
            DueAt = _period > TimeSpan.Zero ? clock._now + _period : null;
            if (DueAt is null) clock._timers.Remove(this);
        }

        public void Fire() => callback(state);

        public void Dispose()
        {
            lock (clock._gate) clock._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
