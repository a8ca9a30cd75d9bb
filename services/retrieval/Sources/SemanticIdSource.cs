using Mesh.Retrieval.Index;
using Mesh.Retrieval.Values;

namespace Mesh.Retrieval.Sources;

/// <summary>
/// Items under the semantic-ID prefixes that the user's history favours. Each two-level prefix gets a share of the limit
/// in proportion to its weight, filled with what does best there (engagement and freshness, as trending scores it, or a value formula); what is
/// still missing comes from the one-level prefixes above them. A new item is found here by its neighbours' history alone.
/// </summary>
internal sealed class SemanticIdSource(int scanMax, ValueFormulas values, RetrievalMetrics metrics) : ISource
{
    public string Name => SourceNames.SemanticId;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline)
    {
        var found = new List<RowHit>(limit);
        var taken = new HashSet<Row>();
        ValueScan? scan = values.Current.SemanticId is { } formula ? new ValueScan(formula, query) : null;
        Fill(query, query.Interest.Prefixes, scan, limit, found, taken, deadline);
        if (found.Count < limit) Fill(query, Coarser(query.Interest.Prefixes), scan, limit, found, taken, deadline, firstPart: query.Interest.Prefixes.Count);
        if (scan is { NotFinite: > 0 }) metrics.ValuesNotFinite(Name, scan.NotFinite);
        return found;
    }

    private void Fill(
        SourceQuery query, IReadOnlyList<(Prefix Prefix, double Weight)> prefixes, ValueScan? scan, int limit, List<RowHit> found, HashSet<Row> taken,
        CancellationToken deadline, int firstPart = 0)
    {
        double weightLeft = prefixes.Sum(static pair => pair.Weight);
        foreach ((int part, (Prefix prefix, double weight)) in prefixes.Index())
        {
            if (found.Count >= limit) return;
            deadline.ThrowIfCancellationRequested();

            // A share of what is left, not of the whole: what one prefix cannot fill goes to the next ones. Where a history of years
            // gives weights as far apart as a double's rounding, less than the weight itself may be left, or less than nothing.
            int share = weightLeft > weight ? (int)Math.Ceiling((limit - found.Count) * weight / weightLeft) : limit - found.Count;
            weightLeft -= weight;
            foreach (RowHit hit in Best(query, prefix, scan, Math.Min(share, limit - found.Count), taken))
            {
                found.Add(hit with { Part = firstPart + part });
                taken.Add(hit.Row);
            }
        }
    }

    private List<RowHit> Best(SourceQuery query, Prefix prefix, ValueScan? scan, int limit, HashSet<Row> taken)
    {
        var top = new TopRows(limit);
        ReadOnlySpan<Row> rows = query.Index.Prefixes.RowsOf(prefix);
        for (int i = rows.Length - 1; i >= Math.Max(0, rows.Length - scanMax); i--)
        {
            if (rows[i].State is not { } state || !prefix.Covers(state.Facts.Codes)) continue;
            double score = scan?.Of(state) ?? query.Index.Trending.ScoreOf(state, query.ServerNowMs, query.Index.HalfLifeMs);
            if (score >= top.Threshold && !taken.Contains(rows[i]) && query.Filter.Admits(state)) top.Offer(score, rows[i], state);
        }

        return top.TakeBestFirst();
    }

    private static List<(Prefix Prefix, double Weight)> Coarser(IReadOnlyList<(Prefix Prefix, double Weight)> prefixes) =>
    [
        .. prefixes.GroupBy(static pair => pair.Prefix.Coarser(), static pair => pair.Weight)
            .Select(static group => (group.Key, Weight: group.Sum()))
            .OrderByDescending(static pair => pair.Weight).ThenBy(static pair => pair.Key.First),
    ];
}
