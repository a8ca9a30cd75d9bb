using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Decoding;

/// <summary>
/// Which way the beam goes for one request. Where the filter is wide, over the whole tree, asking it at the rows: nearly every prefix met holds what it
/// admits. Where it is narrow that finds little for its looks, so the rows that it admits are taken from its bits first
/// (<see cref="IVectorIndex.Admitted"/>), and the beam is constrained to their prefixes. Both ways give a prefix the same probability. A filter
/// that seemed wide, and under which the looks are spent with too few rows found, is gone about in the second way after all.
/// </summary>
internal static class BeamPlan
{
    // A walk looks at about rowsWanted / share rows before it has enough, the other way at share x live of them, and pays half as much for one: it reads
    // them in the order in which they lie. At 1,000,000 items and 150 wanted the two take the same where 1 to 2 % pass (docs/retrieval.md).
    private const double LooksPerRow = 2;

    /// <summary>Complete prefixes, likeliest first, none without rows: of <see cref="BeamSearch.Run"/>.</summary>
    /// <exception cref="OperationCanceledException">The deadline passed.</exception>
    public static List<Hypothesis> Run(SourceQuery query, ICodeDecoding decoding, BeamShape shape, int rowsWanted, CancellationToken deadline)
    {
        bool isNarrow = IsNarrow(query.Index.Vectors.Expected(query.Filter), query.Index.Items, rowsWanted, shape.LooksMax);
        if (isNarrow && Constrained() is { } narrow) return narrow;

        BeamSearch walk = Search(eligible: null);
        List<Hypothesis> found = walk.Run(rowsWanted, deadline);
        bool isShort = walk.HasCutOff && found.Sum(static prefix => prefix.Rows.Count) < rowsWanted;
        return isShort && !isNarrow ? Constrained() ?? found : found;

        BeamSearch Search(List<Seen>? eligible) => new(query.Index.Prefixes, decoding, query.Filter, shape, query.ServerNowMs, eligible);

        // Null where more rows are admitted than may be looked at.
        List<Hypothesis>? Constrained() => query.Index.Vectors.Admitted(query.Filter, shape.LooksMax, deadline) is { } eligible ? Search(eligible).Run(rowsWanted, deadline) : null;
    }

    private static bool IsNarrow(double expected, int live, int rowsWanted, int looksMax) =>
        expected <= looksMax && expected * expected <= LooksPerRow * rowsWanted * live;
}
