namespace Mesh.Simulator.Loop;

/// <summary>A value with the interval that 95 of 100 resamples fall into.</summary>
internal sealed record Estimate(double Value, double Low, double High);

/// <summary>
/// Percentile bootstrap: draws as many units with replacement as there are, computes the statistic, and again. Strata are drawn from
/// apart, so that each keeps its size.
/// </summary>
internal static class Bootstrap
{
    private const double Tail = 0.025;

    public static Estimate Interval<T>(IReadOnlyList<IReadOnlyList<T>> strata, Func<IReadOnlyList<T>, double> statistic, int resamples, int seed)
    {
        var random = new Random(seed);
        T[] drawn = new T[strata.Sum(stratum => stratum.Count)];
        double[] values = new double[resamples];
        for (int i = 0; i < resamples; i++)
        {
            int filled = 0;
            foreach (IReadOnlyList<T> stratum in strata)
            {
                for (int unit = 0; unit < stratum.Count; unit++) drawn[filled++] = stratum[random.Next(stratum.Count)];
            }

            values[i] = statistic(drawn);
        }

        Array.Sort(values);
        return new Estimate(statistic([.. strata.SelectMany(stratum => stratum)]), Quantile(values, Tail), Quantile(values, 1 - Tail));
    }

    // Linear between the two neighbours.
    private static double Quantile(double[] sorted, double share)
    {
        double at = share * (sorted.Length - 1);
        int below = (int)at;
        return below + 1 < sorted.Length ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[^1];
    }
}
