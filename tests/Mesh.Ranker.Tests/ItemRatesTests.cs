using Mesh.Contracts;
using Mesh.Ranker.Heuristic;

namespace Mesh.Ranker.Tests;

public sealed class ItemRatesTests
{
    private static readonly HeuristicOptions Options = new();
    private static readonly int Like = ActionTaxonomy.Default.IndexOf("like"), Share = ActionTaxonomy.Default.IndexOf("share");

    [Fact]
    public void Actions_without_impressions_lift_a_rate_to_a_few_times_its_prior_and_no_further()
    {
        double[] rates = Rates(impressions: 0, (Like, 10_000f));

        double prior = Options.PriorRatesByAction()[Like];
        Assert.InRange(rates[Like], 4 * prior, Options.LiftMax * prior);
    }

    [Fact]
    public void What_an_item_is_good_at_still_shows_without_impressions()
    {
        double[] sharer = Rates(impressions: 0, (Like, 20f), (Share, 20f)), liked = Rates(impressions: 0, (Like, 20f));

        Assert.True(sharer[Share] > liked[Share]);
        Assert.True(liked[Like] > sharer[Like]);
    }

    [Fact]
    public void Impressions_that_explain_the_counts_are_believed()
    {
        double[] rates = Rates(impressions: 10_000, (Like, 4_000f));

        Assert.Equal(0.4, rates[Like], 0.01);
    }

    private static double[] Rates(float impressions, params (int Action, float Count)[] counts)
    {
        var columns = new float[ActionTaxonomy.Default.CounterCount];
        foreach ((int action, float count) in counts) columns[action] = count;
        columns[ActionTaxonomy.Default.ImpressionIndex] = impressions;
        var rates = new double[ActionTaxonomy.Default.Count];
        new ItemRates(Options).Compute(new Counters { Counts = { columns }, AsOfMs = 1_000 }, 1_000, TimeSpan.FromHours(72), rates);
        return rates;
    }
}
