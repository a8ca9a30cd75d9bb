namespace Mesh.Sidecar.Actors;

/// <summary>
/// Things that fall due, in order of time, on one timer. Each key is there once; setting it again replaces it. What fell
/// due keeps its place under its key until it is moved or removed, and both only work for the version that fell due: a
/// reminder that was replaced while it fired is left alone.
/// </summary>
internal sealed class Agenda<TKey> : IDisposable where TKey : notnull
{
    private static readonly TimeSpan WaitMax = TimeSpan.FromDays(1); // timers take less than 50 days; a longer wait is cut in pieces
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Entry> _byKey = [];
    private readonly SortedSet<Entry> _byDue = new(Comparer<Entry>.Create(
        static (left, right) => (left.Due, left.Version).CompareTo((right.Due, right.Version))));

    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _versions;

    public Agenda(TimeProvider clock)
    {
        _clock = clock;
        _timer = clock.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public int Count
    {
        get
        {
            lock (_gate) return _byKey.Count;
        }
    }

    public bool Contains(TKey key)
    {
        lock (_gate) return _byKey.ContainsKey(key);
    }

    public void Set(TKey key, DateTimeOffset due)
    {
        lock (_gate)
        {
            if (_byKey.TryGetValue(key, out Entry? before)) _byDue.Remove(before);
            var entry = new Entry(key, ++_versions) { Due = due };
            _byKey[key] = entry;
            _byDue.Add(entry);
        }

        Wake();
    }

    public void Remove(TKey key)
    {
        lock (_gate)
        {
            if (_byKey.Remove(key, out Entry? entry)) _byDue.Remove(entry);
        }
    }

    public bool IsCurrent(Entry entry)
    {
        lock (_gate) return IsCurrentLocked(entry);
    }

    /// <summary>Gives what fell due its next time, unless it was replaced or removed meanwhile.</summary>
    public void Move(Entry entry, DateTimeOffset due)
    {
        lock (_gate)
        {
            if (!IsCurrentLocked(entry)) return;

            _byDue.Remove(entry);
            entry.Due = due;
            _byDue.Add(entry);
        }

        Wake();
    }

    public void Remove(Entry entry)
    {
        lock (_gate)
        {
            if (!IsCurrentLocked(entry)) return;

            _byKey.Remove(entry.Key);
            _byDue.Remove(entry);
        }
    }

    /// <summary>Waits until something falls due and takes it off the clock. For one reader.</summary>
    public async Task<Entry> NextAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Task woken;
            lock (_gate)
            {
                if (_wake.Task.IsCompleted) _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
                woken = _wake.Task;
                if (_byDue.Min is { } first)
                {
                    TimeSpan wait = first.Due - _clock.GetUtcNow();
                    if (wait <= TimeSpan.Zero)
                    {
                        _byDue.Remove(first);
                        return first;
                    }

                    _timer.Change(wait < WaitMax ? wait : WaitMax, Timeout.InfiniteTimeSpan);
                }
            }

            await woken.WaitAsync(cancellation);
        }
    }

    public void Dispose() => _timer.Dispose();

    private bool IsCurrentLocked(Entry entry) => _byKey.TryGetValue(entry.Key, out Entry? current) && current == entry;

    private void Wake()
    {
        lock (_gate) _wake.TrySetResult();
    }

    /// <summary>One thing on the agenda. The counts belong to whoever fires it.</summary>
    public sealed class Entry(TKey key, long version)
    {
        public TKey Key => key;

        public long Version => version;

        /// <summary>Changed under the agenda's gate only, while it is not in the sorted set.</summary>
        public DateTimeOffset Due { get; set; }

        /// <summary>Failures of this tick so far.</summary>
        public int Failures { get; set; }

        /// <summary>Times in a row that the app could not be reached.</summary>
        public int Losses { get; set; }
    }
}
