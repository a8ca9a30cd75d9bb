using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Sources;

/// <summary>How the answers for several query vectors of one user become one.</summary>
public enum QueryMerge
{
    /// <summary>One search; a row's similarity is the largest with any vector. One vector may take the whole limit.</summary>
    Max,

    /// <summary>One search per vector; each vector fills an equal part of the limit.</summary>
    Union,
}

/// <summary>
/// Union of the best of each query vector. The vectors take turns; each gives the best of its list that no other gave before, so each
/// has an equal part of the limit, and what a short list cannot fill goes to the others.
/// </summary>
internal static class QueryUnion
{
    /// <param name="lists">One per query vector, best first.</param>
    /// <returns>At most <paramref name="limit"/> rows, each once with the best of its scores, best first.</returns>
    public static List<RowHit> Take(IReadOnlyList<List<RowHit>> lists, int limit)
    {
        var best = new Dictionary<Row, RowHit>();
        foreach (RowHit hit in lists.SelectMany(static list => list))
        {
            if (!best.TryGetValue(hit.Row, out RowHit held) || hit.CompareTo(held) > 0) best[hit.Row] = hit;
        }

        int wanted = Math.Min(limit, best.Count);
        var taken = new HashSet<Row>(wanted);
        int[] next = new int[lists.Count];
        for (int turn = 0; taken.Count < wanted; turn = (turn + 1) % lists.Count)
        {
            List<RowHit> list = lists[turn];
            while (next[turn] < list.Count && !taken.Add(list[next[turn]++].Row))
            {
                // Another vector gave this row already: the next one of the list has the turn.
            }
        }

        List<RowHit> union = [.. taken.Select(row => best[row])];
        union.Sort(static (x, y) => y.CompareTo(x));
        return union;
    }
}
