using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Ranker.Heuristic;

/// <summary>How far a user's actions speak for and against something, each 0..1.</summary>
internal readonly record struct Affinity(double Liked, double Disliked);

/// <summary>
/// The user's side of the heuristic, computed once per request: the sequence joined with what the index knows of its items.
/// Each action adds its default weight, decayed by age, to the author and the tags of its item: above zero to liking,
/// below to disliking. The two are kept apart, so that many likes do not hide one block.
/// </summary>
internal sealed class UserAffinity
{
    private readonly Dictionary<string, Affinity> _authors;
    private readonly Dictionary<string, Affinity> _tags;

    private UserAffinity(Dictionary<string, Affinity> authors, Dictionary<string, Affinity> tags)
    {
        _authors = authors;
        _tags = tags;
    }

    /// <param name="sequence">Columns of equal length, which the endpoint has checked.</param>
    public static UserAffinity Of(Sequence? sequence, IEnumerable<HistoryItem> history, long nowMs, HeuristicOptions options)
    {
        var authors = new Dictionary<string, Affinity>(StringComparer.Ordinal);
        var tags = new Dictionary<string, Affinity>(StringComparer.Ordinal);
        var items = new Dictionary<string, HistoryItem>(StringComparer.Ordinal);
        foreach (HistoryItem item in history) items[item.ItemId] = item;

        var halfLife = TimeSpan.FromDays(options.AffinityHalfLifeDays);
        for (int i = 0; i < (sequence?.ItemIds.Count ?? 0); i++)
        {
            double weight = WeightOf(sequence!.Actions[i]);
            if (weight == 0 || !items.TryGetValue(sequence.ItemIds[i], out HistoryItem? item)) continue;

            weight *= DecayedCounter.Factor(sequence.TimesMs[i], nowMs, halfLife.TotalMilliseconds);
            if (item.AuthorId.Length > 0) Add(authors, item.AuthorId, weight);
            foreach (string tag in item.Tags) Add(tags, tag, weight);
        }

        return new UserAffinity(Saturated(authors, options.AuthorSaturation), Saturated(tags, options.TagSaturation));
    }

    public Affinity ToAuthor(string authorId) => _authors.GetValueOrDefault(authorId);

    /// <summary>Mean over the tags, so that an item does not gain by carrying many.</summary>
    public Affinity ToTags(IReadOnlyList<string> tags)
    {
        if (tags.Count == 0) return default;

        double liked = 0, disliked = 0;
        for (int i = 0; i < tags.Count; i++)
        {
            Affinity affinity = _tags.GetValueOrDefault(tags[i]);
            liked += affinity.Liked;
            disliked += affinity.Disliked;
        }

        return new Affinity(liked / tags.Count, disliked / tags.Count);
    }

    private static double WeightOf(byte action) => action < ActionTaxonomy.Default.Count ? ActionTaxonomy.Default.DefaultWeights[action] : 0;

    private static void Add(Dictionary<string, Affinity> sums, string key, double weight)
    {
        Affinity sum = sums.GetValueOrDefault(key);
        sums[key] = weight > 0 ? sum with { Liked = sum.Liked + weight } : sum with { Disliked = sum.Disliked - weight };
    }

    private static Dictionary<string, Affinity> Saturated(Dictionary<string, Affinity> sums, double saturation) => sums.ToDictionary(
        pair => pair.Key,
        pair => new Affinity(1 - Math.Exp(-pair.Value.Liked / saturation), 1 - Math.Exp(-pair.Value.Disliked / saturation)),
        StringComparer.Ordinal);
}
