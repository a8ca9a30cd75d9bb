using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// Scores by context and <see cref="ScoreKey"/>, for a few minutes: the same user who pulls the feed again is not scored
/// again. What a hit gives is the very row that was computed. A row near its end is refreshed early by one lucky request
/// (XFetch: the later and the dearer, the likelier), while all others still take the old one; a row that is being computed
/// is waited for, not computed twice. Least recently used contexts go first, whole.
/// </summary>
internal sealed class ScoreCache(TransformerOptions options, TimeProvider clock, Func<double> uniform, RankerMetrics metrics)
{
    // Of one row: 14 floats and an array header, key, entry and its share of the table; the id's characters come on top. With ids
    // of 26 characters 266 bytes were seen on the heap.
    private const int RowBytes = 214;
    private const int GroupBytes = 600;

    private readonly TimeSpan _ttl = TimeSpan.FromSeconds(options.ScoreCacheSeconds);
    private readonly long _bytesMax = options.ScoreCacheMebibytesMax * 1024L * 1024;
    private readonly int _actions = ActionTaxonomy.Default.Count;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, LinkedListNode<Group>> _byContext = new(StringComparer.Ordinal); // under _gate
    private readonly LinkedList<Group> _recent = new();                                                  // newest first, under _gate
    private long _bytes;                                                                                 // under _gate

    public bool IsOn => _ttl > TimeSpan.Zero;

    public long Bytes
    {
        get { lock (_gate) return _bytes; }
    }

    /// <summary>
    /// Whether a request of that moment may share: one that asks as of another time than now must neither get nor leave
    /// scores of today.
    /// </summary>
    public bool Takes(long nowMs) => IsOn && Math.Abs((double)nowMs - clock.GetUtcNow().ToUnixTimeMilliseconds()) <= _ttl.TotalMilliseconds;

    /// <summary>Splits candidates into hits, rows to wait for and rows to compute. What is to compute must be landed, whatever comes.</summary>
    public ScorePlan Plan(string contextId, IReadOnlyList<ScoreKey> keys)
    {
        var plan = new ScorePlan(keys.Count);
        long now = clock.GetTimestamp();
        // One draw for the request: rows that were computed together are refreshed together, in one batch.
        double early = -Math.Log(Math.Max(uniform(), double.Epsilon)) * options.EarlyRefreshBeta;
        lock (_gate)
        {
            Group group = Touch(contextId, now);
            for (int i = 0; i < keys.Count; i++) Place(group, keys[i], i, plan, now, early);
        }

        metrics.ScoresLookedUp(plan);
        return plan;
    }

    /// <summary>Ends the flight of a plan: its rows (null where it failed) go to the cache and to whoever waits.</summary>
    public void Land(string contextId, ScoreFlight flight, float[]? rows)
    {
        long now = clock.GetTimestamp();
        lock (_gate)
        {
            // An evicted context may have a new group of that name: its rows are as good there.
            Group group = Touch(contextId, now);
            for (int row = 0; row < flight.Keys.Count; row++)
            {
                ScoreKey key = flight.Keys[row];
                if (group.Pending.TryGetValue(key, out var pending) && ReferenceEquals(pending.Flight, flight)) group.Pending.Remove(key);
                if (rows is null) continue;
                if (!group.Rows.ContainsKey(key)) Grow(group, BytesOf(key));
                group.Rows[key] = new Row(rows.AsSpan(row * _actions, _actions).ToArray(), now, clock.GetElapsedTime(flight.StartedAt, now));
            }

            Sweep(group, now);
            while (_bytes > _bytesMax && _recent.Last is { } last) Remove(last);
        }

        flight.Land(rows);
    }

    private void Place(Group group, ScoreKey key, int index, ScorePlan plan, long now, double early)
    {
        bool held = group.Rows.TryGetValue(key, out Row row);
        TimeSpan left = held ? _ttl - clock.GetElapsedTime(row.ComputedAt, now) : TimeSpan.Zero;
        bool pending = group.Pending.TryGetValue(key, out var flight);
        if (left > TimeSpan.Zero && (pending || left > row.Took * early))
        {
            plan.Hits[index] = row.Probabilities;
        }
        else if (pending)
        {
            plan.Joined.Add((index, flight.Flight, flight.Row));
        }
        else
        {
            if (left > TimeSpan.Zero) plan.Old.Add((index, row.Probabilities));
            plan.Flight ??= new ScoreFlight(now);
            group.Pending.Add(key, (plan.Flight, plan.Flight.Keys.Count));
            plan.Flight.Keys.Add(key);
            plan.Mine.Add(index);
        }
    }

    private Group Touch(string contextId, long now)
    {
        if (_byContext.TryGetValue(contextId, out var node))
        {
            _recent.Remove(node);
        }
        else
        {
            _byContext.Add(contextId, node = new LinkedListNode<Group>(new Group(contextId) { SweptAt = now }));
            Grow(node.Value, GroupBytes);
        }

        _recent.AddFirst(node);
        return node.Value;
    }

    // Rows that nobody asked for again leave once per age limit, so that a long-lived context does not gather them.
    private void Sweep(Group group, long now)
    {
        if (clock.GetElapsedTime(group.SweptAt, now) < _ttl) return;
        group.SweptAt = now;
        foreach ((ScoreKey key, Row row) in group.Rows)
        {
            if (clock.GetElapsedTime(row.ComputedAt, now) < _ttl) continue;
            group.Rows.Remove(key);
            Grow(group, -BytesOf(key));
        }
    }

    private void Grow(Group group, long bytes)
    {
        group.Bytes += bytes;
        _bytes += bytes;
    }

    private void Remove(LinkedListNode<Group> node)
    {
        _recent.Remove(node);
        _byContext.Remove(node.Value.ContextId);
        _bytes -= node.Value.Bytes;
    }

    private static long BytesOf(ScoreKey key) => RowBytes + (2L * key.ItemId.Length);

    private readonly record struct Row(float[] Probabilities, long ComputedAt, TimeSpan Took);

    private sealed class Group(string contextId)
    {
        public string ContextId => contextId;

        public Dictionary<ScoreKey, Row> Rows { get; } = [];

        public Dictionary<ScoreKey, (ScoreFlight Flight, int Row)> Pending { get; } = [];

        public long Bytes { get; set; }

        public long SweptAt { get; set; }
    }
}
