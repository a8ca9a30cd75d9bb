using Mesh.Contracts;

namespace Mesh.Ranker.Heuristic;

/// <summary>
/// How often an item gets each action per impression, smoothed by a Beta prior: (count + strength x prior) / (shown + strength).
/// Counts and impressions are decayed alike to the moment of the request, so that old evidence gives way to the prior.
/// </summary>
internal sealed class ItemRates(HeuristicOptions options)
{
    private readonly double[] _priors = options.PriorRatesByAction();

    /// <summary>Rates per action, strictly between 0 and 1.</summary>
    public void Compute(Counters? counters, long nowMs, TimeSpan halfLife, Span<double> rates)
    {
        ActionTaxonomy taxonomy = ActionTaxonomy.Default;
        double decay = counters is null ? 0 : Decay.Over(nowMs, counters.AsOfMs, halfLife);
        double impressions = CountAt(counters, taxonomy.ImpressionIndex) * decay;
        for (int action = 0; action < rates.Length; action++)
        {
            double count = CountAt(counters, action) * decay;
            double shown = Math.Max(impressions, count / options.RateMax);
            rates[action] = (count + (options.PriorStrength * _priors[action])) / (shown + options.PriorStrength);
        }
    }

    // Counters come from another process: what is missing, negative or not a number counts as nothing.
    private static double CountAt(Counters? counters, int index) =>
        counters is not null && index < counters.Counts.Count && float.IsFinite(counters.Counts[index]) ? Math.Max(0, counters.Counts[index]) : 0;
}
