using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Values;

namespace Mesh.Retrieval.Sources;

/// <summary>
/// Items under the semantic IDs that a decoder finds most likely for the user (<see cref="BeamPlan"/>). Each ID gets a share of the limit in
/// proportion to its probability, filled with what does best there (engagement and freshness, as trending scores it, or a value formula): its
/// n-th best item counts ln(probability / n), and the highest count gets the next place (the highest averages of D'Hondt), so an ID that has
/// no more items leaves its places to the others. A new item is found here by its neighbours' history alone. Nothing favourable
/// known of the user: nothing found, trending is for them.
/// </summary>
internal sealed class SemanticIdSource(ICodeDecoder decoder, BeamShape shape, ValueFormulas values, RetrievalMetrics metrics) : ISource
{
    public string Name => SourceNames.SemanticId;

    public List<RowHit> Find(SourceQuery query, int limit, CancellationToken deadline)
    {
        if (limit == 0 || decoder.Begin(query) is not { } decoding) return [];

        ValueScan? scan = values.Current.SemanticId is { } formula ? new ValueScan(formula, query) : null;
        var found = new List<(double Count, RowHit Hit)>();
        foreach (Hypothesis prefix in BeamPlan.Run(query, decoding, shape, limit, deadline))
        {
            deadline.ThrowIfCancellationRequested();
            int part = prefix.Name();
            List<RowHit> best = Best(query, prefix.Rows, scan, limit);
            for (int i = 0; i < best.Count; i++)
            {
                found.Add((prefix.LogProbability - Math.Log(i + 1), best[i] with { Part = part, PartScore = prefix.LogProbability }));
            }
        }

        if (scan is { NotFinite: > 0 }) metrics.ValuesNotFinite(Name, scan.NotFinite);
        found.Sort(static (x, y) => y.CompareTo(x));
        return [.. found.Select(static counted => counted.Hit).DistinctBy(static hit => hit.Row).Take(limit)]; // a row that moved meanwhile may lie under two IDs
    }

    private static List<RowHit> Best(SourceQuery query, ArraySegment<Seen> rows, ValueScan? scan, int limit)
    {
        var top = new TopRows(Math.Min(limit, rows.Count));
        foreach (Seen seen in rows)
        {
            double score = scan?.Of(seen.State) ?? query.Index.Trending.ScoreOf(seen.State, query.ServerNowMs, query.Index.HalfLifeMs);
            if (score >= top.Threshold) top.Offer(score, seen.Row, seen.State);
        }

        return top.TakeBestFirst();
    }
}
