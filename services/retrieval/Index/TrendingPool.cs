using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// The best items by decayed engagement and freshness, for everybody: computed by one pass over the rows at most once
/// per refresh interval, by one thread, while others go on with the last pool.
/// score = (prior + sum of weights x decayed counts) / (1 + age / freshness). Without any engagement that is the order of
/// age, so a cold index shows its newest items; net-negative items sink to the end.
/// </summary>
internal sealed class TrendingPool(TrendingShape shape)
{
    // Rows up to which those that a filter admits are taken from its bits. Past it the pool holds enough of them nearly always: 4,000 of 1,000,000
    // by default, of which a filter that admits 5 % leaves 200.
    private const int NarrowMax = 50_000;

    private readonly Lock _refresh = new();
    private volatile Pool? _pool;

    /// <summary>
    /// The best <paramref name="limit"/> items that the filter admits. Where the shared pool holds too few of them (a
    /// filter that admits little), every row that it admits is looked at, or every row there is.
    /// </summary>
    public List<RowHit> Top(IVectorIndex rows, RowFilter filter, int limit, long nowMs, double halfLifeMs, CancellationToken cancellation)
    {
        Pool pool = Current(rows, nowMs, halfLifeMs);
        var found = new List<RowHit>(limit);
        foreach (RowHit best in pool.Best)
        {
            if (best.Row.State is not { } state || !filter.Admits(state)) continue;
            found.Add(best with { State = state });
            if (found.Count == limit) return found;
        }

        if (pool.IsWhole && rows.Slots == pool.Slots) return found;
        bool isNarrow = rows.Expected(filter) <= NarrowMax;
        IEnumerable<Seen> left = (isNarrow ? rows.Admitted(filter, NarrowMax, cancellation) : null) ?? rows.Live();
        return Scan(left, filter, limit, nowMs, halfLifeMs, cancellation);
    }

    public double ScoreOf(RowState state, long nowMs, double halfLifeMs) =>
        (shape.Prior + state.EngagementAt(nowMs, halfLifeMs))
        / (1 + Math.Max(0, nowMs - state.Facts.CreatedAtMs) / (shape.FreshnessHours * 3_600_000));

    private Pool Current(IVectorIndex rows, long nowMs, double halfLifeMs)
    {
        Pool? pool = _pool;
        if (pool is not null && nowMs - pool.MadeAtMs < shape.RefreshMs) return pool;

        // Whoever finds no pool at all must wait for the first one; otherwise the stale one serves while one thread works.
        if (pool is null) _refresh.Enter();
        else if (!_refresh.TryEnter()) return pool;
        try
        {
            pool = _pool;
            if (pool is not null && nowMs - pool.MadeAtMs < shape.RefreshMs) return pool;
            int slots = rows.Slots; // before the pass: a row that arrives during it must not pass for one that was looked at
            List<RowHit> best = Scan(rows.Live(), RowFilter.Visible, shape.PoolMax, nowMs, halfLifeMs, CancellationToken.None);
            _pool = pool = new Pool(best, slots, best.Count < shape.PoolMax, nowMs);
            return pool;
        }
        finally
        {
            _refresh.Exit();
        }
    }

    private List<RowHit> Scan(IEnumerable<Seen> rows, RowFilter filter, int limit, long nowMs, double halfLifeMs, CancellationToken cancellation)
    {
        var top = new TopRows(limit);
        int seen = 0;
        foreach ((Row row, RowState state) in rows)
        {
            if ((++seen & 0xFFF) == 0) cancellation.ThrowIfCancellationRequested();
            double score = ScoreOf(state, nowMs, halfLifeMs);
            if (score >= top.Threshold && filter.Admits(state)) top.Offer(score, row, state);
        }

        return top.TakeBestFirst();
    }

    private sealed record Pool(List<RowHit> Best, int Slots, bool IsWhole, long MadeAtMs);
}

/// <summary>How trending items are scored and pooled; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record TrendingShape(double Prior, double FreshnessHours, int PoolMax, int RefreshMs);
