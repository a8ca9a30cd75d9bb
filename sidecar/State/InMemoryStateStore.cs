namespace Mesh.Sidecar.State;

/// <summary>
/// <c>state.in-memory</c>: a sorted map under one lock. Nothing survives the process. Expired values are dropped by the
/// write that finds them and by a sweep on every 1,024th write, so that they do not pile up.
/// </summary>
public sealed class InMemoryStateStore(TimeProvider clock) : IStateStore
{
    private const int SweepEvery = 1_024;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, StateItem> _items = new(StringComparer.Ordinal);
    private long _writes;

    public Task<StateItem?> GetAsync(string key, CancellationToken cancellation)
    {
        lock (_lock) return Task.FromResult(Find(key, clock.GetUtcNow()));
    }

    public Task<IReadOnlyList<StateItem?>> GetBulkAsync(IReadOnlyList<string> keys, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(keys);
        var items = new StateItem?[keys.Count];
        DateTimeOffset now = clock.GetUtcNow();
        lock (_lock)
        {
            for (int i = 0; i < items.Length; i++) items[i] = Find(keys[i], now);
        }

        return Task.FromResult<IReadOnlyList<StateItem?>>(items);
    }

    public Task WriteAsync(IReadOnlyList<StateWrite> writes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(writes);
        cancellation.ThrowIfCancellationRequested();
        DateTimeOffset now = clock.GetUtcNow();
        lock (_lock)
        {
            // What was there before each write, newest last: undone backwards where a later write conflicts.
            var undo = new List<(string Key, StateItem? Before)>(writes.Count);
            try
            {
                foreach (StateWrite write in writes) Apply(write, now, undo);
            }
            catch (StateConflictException conflict)
            {
                for (int i = undo.Count - 1; i >= 0; i--) Put(undo[i].Key, undo[i].Before);
                return Task.FromException(conflict);
            }

            if (++_writes % SweepEvery == 0) Sweep(now);
        }

        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> KeysAsync(string prefix, CancellationToken cancellation)
    {
        DateTimeOffset now = clock.GetUtcNow();
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<string>>(
                [.. _items.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal) && !IsExpired(pair.Value, now)).Select(pair => pair.Key)]);
        }
    }

    private static bool IsExpired(StateItem item, DateTimeOffset now) => item.ExpiresAt <= now;

    private StateItem? Find(string key, DateTimeOffset now) =>
        _items.TryGetValue(key, out StateItem? item) && !IsExpired(item, now) ? item : null;

    private void Put(string key, StateItem? item)
    {
        if (item is null) _items.Remove(key);
        else _items[key] = item;
    }

    private void Apply(StateWrite write, DateTimeOffset now, List<(string Key, StateItem? Before)> undo)
    {
        StateItem? before = Find(write.Key, now);
        if (!string.IsNullOrEmpty(write.ETag))
        {
            if (before is null) throw new StateConflictException(write.Key, StateConflicts.Missing);
            if (before.ETag != write.ETag) throw new StateConflictException(write.Key, StateConflicts.Mismatch);
        }
        else if (write.FirstWrite && before is not null)
        {
            throw new StateConflictException(write.Key, StateConflicts.Taken);
        }

        undo.Add((write.Key, before));
        // The caller may reuse its buffer, so the store keeps its own copy.
        Put(write.Key, write.Value is { } value ? new StateItem(value.ToArray(), Guid.NewGuid().ToString(), now + write.Ttl) : null);
    }

    private void Sweep(DateTimeOffset now)
    {
        foreach (string key in _items.Where(pair => IsExpired(pair.Value, now)).Select(pair => pair.Key).ToList()) _items.Remove(key);
    }
}

/// <summary>How a conflict reads, alike for every store. Dapr's wording comes first, then what was found.</summary>
internal static class StateConflicts
{
    private const string Prefix = "possible etag mismatch. error from state store";
    public const string Mismatch = Prefix + ": the stored etag is another one";
    public const string Missing = Prefix + ": the key does not exist or has expired";
    public const string Taken = Prefix + ": the key exists and no etag was passed";
}
