using Mesh.Retrieval.Index;
using Mesh.Retrieval.Values;

namespace Mesh.Retrieval.Sources;

/// <summary>How two-tower searches; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record TwoTowerShape(QueryMerge Merge, int ValuePoolMultiple, int ValueWholeMax)
{
    public static TwoTowerShape From(RetrievalOptions options) => new(options.QueryMerge, options.ValuePoolMultiple, options.ValueWholeMax);
}

/// <summary>
/// Items whose vector is closest to the user's query vectors; where a value formula is set, the best by it among the closest
/// limit x ValuePoolMultiple, and among all that the filter admits where those are few. Without a history there is no query and nothing is found.
/// </summary>
internal sealed class TwoTowerSource(ValueFormulas values, TwoTowerShape shape, RetrievalMetrics metrics) : ISource
{
    public string Name => SourceNames.TwoTower;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline)
    {
        if (query.Queries.Count == 0) return [];
        ValueScan? scan = values.Current.TwoTower is { } formula ? new ValueScan(formula, query) : null;
        int pool = scan is null ? limit : PoolOf(query, limit);
        List<RowHit> found = shape.Merge == QueryMerge.Union
            ? QueryUnion.Take([.. query.Index.Vectors.SearchEach(query.Queries, pool, query.Filter, deadline).Select(nearest => Best(nearest, scan, limit, deadline))], limit)
            : Best(query.Index.Vectors.Search(query.Queries, pool, query.Filter, deadline), scan, limit, deadline);
        if (scan is { NotFinite: > 0 }) metrics.ValuesNotFinite(Name, scan.NotFinite);
        return found;
    }

    // So few rows are scored whole by the index anyway, so that the formula may as well have them all.
    private int PoolOf(SourceQuery query, int limit)
    {
        int nearest = limit * shape.ValuePoolMultiple;
        return query.Index.Vectors.Expected(query.Filter) <= shape.ValueWholeMax ? Math.Max(nearest, shape.ValueWholeMax) : nearest;
    }

    // The index keeps only what is near, so a row outside the pool is lost whatever its value: the price of not valuing every row.
    private static List<RowHit> Best(List<RowHit> nearest, ValueScan? scan, int limit, CancellationToken deadline) =>
        scan is null ? nearest : scan.Best(nearest, limit, deadline);
}
