using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Values;

/// <summary>
/// Values rows by one formula for one query: reads the columns that the formula names and runs its steps. Its buffers are made once,
/// so a row allocates nothing. For one thread.
/// </summary>
internal sealed class ValueScan(ValueFormula formula, SourceQuery query)
{
    private const int CancellationRows = 4_096;

    private readonly double[] _columns = new double[formula.Columns.Length];
    private readonly double[] _operands = new double[formula.OperandsMax];
    private readonly double _halfLifeMs = query.Index.HalfLifeMs;
    private readonly HashSet<string>? _follows = formula.Reads(ValueField.InNetwork) ? new(query.Follows, StringComparer.Ordinal) : null;
    private readonly bool _readsCounts = formula.Reads(ValueField.Count);

    private readonly bool _readsSimilarity = formula.Reads(ValueField.Similarity);

    /// <summary>Values so far that were not finite.</summary>
    public int NotFinite { get; private set; }

    /// <summary>The value of a row that no search has compared with the query vectors.</summary>
    public double Of(RowState state) => Of(state, _readsSimilarity ? query.Queries.Similarity(query.Index.VectorOf(state)) : 0);

    /// <summary>The row's value; negative infinity, the worst there is, where it is not finite.</summary>
    public double Of(RowState state, double similarity)
    {
        ReadColumns(state, similarity);
        double value = formula.Evaluate(_columns, _operands);
        if (double.IsFinite(value)) return value;
        NotFinite++;
        return double.NegativeInfinity;
    }

    /// <summary>The best <paramref name="limit"/> of a pool by value, best first. The pool's scores are the similarities.</summary>
    public List<RowHit> Best(List<RowHit> pool, int limit, CancellationToken deadline)
    {
        var top = new TopRows(limit);
        for (int i = 0; i < pool.Count; i++)
        {
            if (i % CancellationRows == 0) deadline.ThrowIfCancellationRequested();
            top.Offer(Of(pool[i].State, pool[i].Score), pool[i].Row, pool[i].State);
        }

        return top.TakeBestFirst();
    }

    private void ReadColumns(RowState state, double similarity)
    {
        // One power for all counts of the row; rates need none, as both their parts decay alike.
        double decay = _readsCounts ? DecayedCounter.Factor(state.EngagementAsOfMs, query.NowMs, _halfLifeMs) : 0;
        ReadOnlySpan<ValueColumn> columns = formula.Columns;
        for (int i = 0; i < columns.Length; i++)
        {
            _columns[i] = columns[i].Field switch
            {
                ValueField.Similarity => similarity,
                ValueField.AgeHours => Math.Max(0, (double)query.NowMs - state.Facts.CreatedAtMs) / 3_600_000,
                ValueField.DurationSeconds => state.Facts.DurationMs / 1_000.0,
                ValueField.Engagement => state.EngagementAt(query.NowMs, _halfLifeMs),
                ValueField.Trending => query.Index.Trending.ScoreOf(state, query.ServerNowMs, _halfLifeMs),
                ValueField.InNetwork => _follows!.Contains(state.Facts.AuthorId) ? 1 : 0,
                ValueField.Count => CountAt(state, columns[i].Action) * decay,
                _ => RateOf(state, columns[i].Action),
            };
        }
    }

    private static double RateOf(RowState state, int action)
    {
        double impressions = CountAt(state, ActionTaxonomy.Default.ImpressionIndex);
        return impressions > 0 ? CountAt(state, action) / impressions : 0;
    }

    // Counters come from another process: what is missing, negative or not a number counts as nothing.
    private static double CountAt(RowState state, int index) =>
        index < state.CountsHeld && float.IsFinite(state.CountOf(index)) ? Math.Max(0, state.CountOf(index)) : 0;
}
