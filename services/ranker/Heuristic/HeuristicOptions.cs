using System.ComponentModel.DataAnnotations;
using Mesh.Contracts;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Heuristic;

/// <summary>
/// Coefficients of the heuristic scorer: logit(p) = logit(smoothed rate of the item) + coefficients x features. Bound from
/// <c>Ranker:Heuristic</c> and checked at start-up. Half-lives are in the unit of their name.
/// </summary>
public sealed class HeuristicOptions
{
    /// <summary>Rate of each action before anything is known of an item, 0..1 exclusive. Named actions replace the defaults.</summary>
    public Dictionary<string, double> PriorRates { get; init; } = [];

    /// <summary>Impressions that the prior rate is worth. More = new items move slower from the prior. Default 20.</summary>
    [Range(0.1, 1e6)]
    public double PriorStrength { get; init; } = 20;

    /// <summary>Highest rate believed of one action: fewer impressions than count / RateMax cannot be all there were. Default 0.5.</summary>
    [Range(0.01, 0.99)]
    public double RateMax { get; init; } = 0.5;

    /// <summary>Highest rate where impressions are missing, as a multiple of the prior rate. Default 5.</summary>
    [Range(1, 1_000)]
    public double LiftMax { get; init; } = 5;

    /// <summary>Half-life of counters where the request names none, in hours. Default 72.</summary>
    [Range(0.01, 1e5)]
    public double CounterHalfLifeHours { get; init; } = 72;

    /// <summary>Half-life of a user's action in the affinities, in days. Default 14.</summary>
    [Range(0.01, 1e5)]
    public double AffinityHalfLifeDays { get; init; } = 14;

    /// <summary>Decayed action weight at which a liking of an author reaches 63 % of its effect. Default 2.</summary>
    [Range(0.01, 1e4)]
    public double AuthorSaturation { get; init; } = 2;

    /// <summary>Decayed action weight at which a liking of a tag reaches 63 % of its effect. Default 4.</summary>
    [Range(0.01, 1e4)]
    public double TagSaturation { get; init; } = 4;

    /// <summary>Half-life of an item's freshness, in hours. Default 24.</summary>
    [Range(0.01, 1e5)]
    public double RecencyHalfLifeHours { get; init; } = 24;

    /// <summary>Coefficients for actions with a default weight above zero: what the user likes makes them likelier.</summary>
    [ValidateObjectMembers]
    public FeatureCoefficients Positive { get; init; } = new()
    {
        AuthorLiked = 1.6, AuthorDisliked = -3.0, TagLiked = 1.6, TagDisliked = -1.6, Similarity = 1.5, Recency = 0.5, InNetwork = 0.4,
    };

    /// <summary>Coefficients for actions with a default weight below zero: what the user dislikes makes them likelier.</summary>
    [ValidateObjectMembers]
    public FeatureCoefficients Negative { get; init; } = new()
    {
        AuthorLiked = -0.8, AuthorDisliked = 3.0, TagLiked = -0.8, TagDisliked = 1.6, Similarity = -0.8, Recency = 0.0, InNetwork = -0.4,
    };

    /// <summary>Prior rates in taxonomy order.</summary>
    internal double[] PriorRatesByAction() =>
        [.. ActionTaxonomy.Default.Names.Select(name => PriorRates.TryGetValue(name, out double rate) ? rate : HeuristicDefaults.PriorRate(name))];
}

/// <summary>One coefficient per feature, in logits per unit of the feature; -20..20.</summary>
public sealed class FeatureCoefficients
{
    /// <summary>Times 0..1: how much the user's actions speak for the author.</summary>
    [Range(-20.0, 20.0)]
    public double AuthorLiked { get; init; }

    /// <summary>Times 0..1: how much they speak against the author.</summary>
    [Range(-20.0, 20.0)]
    public double AuthorDisliked { get; init; }

    /// <summary>Times 0..1: mean over the item's tags of how much they speak for the tag.</summary>
    [Range(-20.0, 20.0)]
    public double TagLiked { get; init; }

    /// <summary>Times 0..1: mean over the item's tags of how much they speak against the tag.</summary>
    [Range(-20.0, 20.0)]
    public double TagDisliked { get; init; }

    /// <summary>Times -1..1: cosine of the user's query vector and the item.</summary>
    [Range(-20.0, 20.0)]
    public double Similarity { get; init; }

    /// <summary>Times 0..1: freshness of the item.</summary>
    [Range(-20.0, 20.0)]
    public double Recency { get; init; }

    /// <summary>Times 0 or 1: the author is followed.</summary>
    [Range(-20.0, 20.0)]
    public double InNetwork { get; init; }
}

internal static class HeuristicDefaults
{
    // Orders of magnitude of a public feed: dwelling is common, a click is one in ten, a report one in two thousand.
    public static double PriorRate(string action) => action switch
    {
        "dwell" => 0.25,
        "click" or "video_complete" => 0.10,
        "like" => 0.04,
        "profile_click" => 0.02,
        "save" => 0.01,
        "reply" or "repost" => 0.008,
        "share" => 0.006,
        "follow_author" or "not_interested" => 0.004,
        "quote" => 0.003,
        "block_author" => 0.0008,
        "report" => 0.0005,
        _ => 0.01,
    };
}

/// <summary>What attributes cannot say: the names and ranges of the prior rates.</summary>
internal sealed class HeuristicOptionsCheck : IValidateOptions<HeuristicOptions>
{
    public ValidateOptionsResult Validate(string? name, HeuristicOptions options)
    {
        var faults = new List<string>();
        foreach ((string action, double rate) in options.PriorRates)
        {
            int index = ActionTaxonomy.Default.IndexOf(action);
            if (index < 0 || index >= ActionTaxonomy.Default.Count) faults.Add($"Ranker:Heuristic:PriorRates:{action}: no such action");
            else if (!(rate is > 0 and < 1)) faults.Add($"Ranker:Heuristic:PriorRates:{action} is {rate}; must be above 0 and below 1");
        }

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }
}
