using Mesh.Numerics;

namespace Mesh.Benchmarks.Ann;

/// <summary>The nearest rows of every query under every filter, by looking at all of them.</summary>
internal sealed class AnnTruth
{
    private readonly Dictionary<AnnFilterSet, int[][]> _nearest = []; // best first
    private readonly Dictionary<(AnnFilterSet, int), HashSet<int>[]> _sets = [];

    public AnnTruth(AnnData data, IReadOnlyList<AnnFilterSet> filters, int k, CancellationToken cancellation)
    {
        foreach (AnnFilterSet set in filters) _nearest[set] = new int[data.QueryCount][];
        var all = new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = Environment.ProcessorCount };
        Parallel.For(0, data.QueryCount, all, () => new float[data.Rows], (query, _, scores) =>
        {
            RowDots.Compute(data.Query(query), data.Vectors, scores);
            foreach (AnnFilterSet set in filters) _nearest[set][query] = Best(scores, set.Selectors[query], Math.Min(k, set.Passing[query]));
            return scores;
        }, _ => { });
    }

    /// <summary>Mean over the queries of hits / min(k, rows that pass).</summary>
    /// <param name="answers">Row numbers by query; those below 0 are nobody's.</param>
    public double Recall(AnnFilterSet filters, int k, int[][] answers)
    {
        if (!_sets.TryGetValue((filters, k), out HashSet<int>[]? wanted))
        {
            _sets[(filters, k)] = wanted = [.. _nearest[filters].Select(nearest => new HashSet<int>(nearest.Take(k)))];
        }

        double sum = 0;
        for (int q = 0; q < answers.Length; q++)
        {
            sum += wanted[q].Count == 0 ? 1 : answers[q].Take(k).Distinct().Count(wanted[q].Contains) / (double)wanted[q].Count;
        }

        return sum / answers.Length;
    }

    private static int[] Best(float[] scores, ulong[] selector, int k)
    {
        var rows = new int[k];
        var top = new TopK(new float[k], rows);
        for (int w = 0; w < selector.Length; w++)
        {
            for (ulong left = selector[w]; left != 0; left &= left - 1)
            {
                int row = (64 * w) + System.Numerics.BitOperations.TrailingZeroCount(left);
                if (scores[row] >= top.Threshold) top.Offer(scores[row], row);
            }
        }

        top.Sort();
        return rows;
    }
}
