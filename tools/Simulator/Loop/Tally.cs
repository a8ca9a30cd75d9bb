using Mesh.Contracts;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Loop;

/// <summary>What came of some pages.</summary>
internal sealed record Tally(int Requests, int Served, double Utility, int Clicks, int Likes, int Negatives, double Affinity)
{
    public static Tally None { get; } = new(0, 0, 0, 0, 0, 0, 0);

    /// <summary>One page: utility is the sum of the default weights of what was done.</summary>
    public static Tally Of(SyntheticWorld world, int user, IReadOnlyList<int> page, IReadOnlyList<Act> acts)
    {
        ActionTaxonomy taxonomy = ActionTaxonomy.Default;
        int[] actions = [.. acts.Select(act => taxonomy.IndexOf(act.Action))];
        return new Tally(
            1, page.Count, actions.Sum(action => taxonomy.DefaultWeights[action]), acts.Count(act => act.Action == "click"), acts.Count(act => act.Action == "like"),
            actions.Count(taxonomy.IsNegative), page.Where(item => item >= 0).Sum(item => world.Affinity(user, item)));
    }

    public static Tally operator +(Tally left, Tally right) => new(
        left.Requests + right.Requests, left.Served + right.Served, left.Utility + right.Utility, left.Clicks + right.Clicks, left.Likes + right.Likes,
        left.Negatives + right.Negatives, left.Affinity + right.Affinity);
}

/// <summary>A measure of engagement: a sum over a count, so that it can be resampled by user.</summary>
internal sealed record Metric(string Name, string Text, Func<Tally, double> Sum, Func<Tally, double> Count)
{
    public static Metric Utility { get; } = new("utilityPerRequest", "utility per request", tally => tally.Utility, tally => tally.Requests);

    public static IReadOnlyList<Metric> All { get; } =
    [
        Utility,
        new("clickRate", "clicks per item served", tally => tally.Clicks, tally => tally.Served),
        new("likeRate", "likes per item served", tally => tally.Likes, tally => tally.Served),
        new("negativesPer1000", "negative actions per 1,000 served", tally => 1_000.0 * tally.Negatives, tally => tally.Served),
        new("affinity", "hidden affinity of items served", tally => tally.Affinity, tally => tally.Served),
    ];

    public double Of(IEnumerable<Tally> tallies)
    {
        double sum = 0, count = 0;
        foreach (Tally tally in tallies) (sum, count) = (sum + Sum(tally), count + Count(tally));
        return count == 0 ? 0 : sum / count;
    }
}
