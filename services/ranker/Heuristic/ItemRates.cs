using Mesh.Contracts;
using Mesh.Numerics;

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
        double decay = counters is null ? 0 : DecayedCounter.Factor(counters.AsOfMs, nowMs, halfLife.TotalMilliseconds);
        double shown = Shown(counters, decay);
        for (int action = 0; action < rates.Length; action++)
        {
            double count = CountAt(counters, action) * decay;
            rates[action] = (count + (options.PriorStrength * _priors[action])) / (shown + options.PriorStrength);
        }
    }

    // Imports bring actions without impressions. Impressions are believed where they could have led to what was counted;
    // where they could not, the item counts as shown so often that no action comes out above LiftMax times its prior: what
    // an item is good at still shows, and no rate runs to one.
    private double Shown(Counters? counters, double decay)
    {
        double impressions = CountAt(counters, ActionTaxonomy.Default.ImpressionIndex) * decay;
        double countMax = 0, impliedMax = 0;
        for (int action = 0; action < _priors.Length; action++)
        {
            double count = CountAt(counters, action) * decay;
            countMax = Math.Max(countMax, count);
            impliedMax = Math.Max(impliedMax, count / Math.Min(options.RateMax, options.LiftMax * _priors[action]));
        }

        return impressions >= countMax / options.RateMax ? impressions : Math.Max(impressions, impliedMax);
    }

    // Counters come from another process: what is missing, negative or not a number counts as nothing.
    private static double CountAt(Counters? counters, int index) =>
        counters is not null && index < counters.Counts.Count && float.IsFinite(counters.Counts[index]) ? Math.Max(0, counters.Counts[index]) : 0;
}
