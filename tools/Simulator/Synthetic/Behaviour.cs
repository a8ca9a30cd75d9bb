namespace Mesh.Simulator.Synthetic;

/// <summary>
/// What a user does with an item they see. Whether they engage is a coin with log-odds = affinity; someone who engages clicks,
/// stays a while, and does the rarer things the likelier, the more they like it. Someone who is repelled may say so.
/// </summary>
internal sealed class Behaviour(Random random)
{
    // Chance of each action for someone who engages, at affinity 0; every point of affinity multiplies its odds by e.
    private static readonly (string Action, double Chance)[] Positive =
    [
        ("like", 0.25), ("reply", 0.04), ("repost", 0.05), ("quote", 0.015), ("follow_author", 0.02), ("share", 0.03), ("profile_click", 0.06), ("save", 0.04),
    ];

    // The same for someone who is repelled; every point of aversion multiplies the odds by e.
    private static readonly (string Action, double Chance)[] Negative = [("not_interested", 0.05), ("block_author", 0.006), ("report", 0.004)];

    /// <summary>Actions with their delay after the item was seen and, for dwell, the seconds. Often none.</summary>
    public IEnumerable<(string Action, long DelayMs, float? Value)> Draw(double affinity, long durationMs)
    {
        var actions = new List<(string, long, float?)>();
        if (Happens(LogOdds(0.35) + affinity))
        {
            double seconds = Math.Exp(1.5 + 0.4 * affinity + Author.Gaussian(random) * 0.6);
            actions.Add(("click", 500, null));
            if (seconds >= 5) actions.Add(("dwell", (long)(seconds * 1000), (float)Math.Round(seconds, 1)));
            if (durationMs > 0 && Happens(LogOdds(0.3) + affinity)) actions.Add(("video_complete", durationMs, null));
            foreach ((string action, double chance) in Positive)
            {
                if (Happens(LogOdds(chance) + affinity)) actions.Add((action, 1_000 + random.Next(20_000), null));
            }
        }
        else if (affinity < 0)
        {
            foreach ((string action, double chance) in Negative)
            {
                if (Happens(LogOdds(chance) - affinity)) actions.Add((action, 1_000 + random.Next(5_000), null));
            }
        }

        return actions;
    }

    private bool Happens(double logOdds) => random.NextDouble() < 1 / (1 + Math.Exp(-logOdds));

    private static double LogOdds(double chance) => Math.Log(chance / (1 - chance));
}
