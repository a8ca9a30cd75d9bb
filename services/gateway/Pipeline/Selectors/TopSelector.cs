using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Selectors;

/// <summary>The best by score, at most <c>max_per_author</c> of one author; equal scores go by item id, so a page is reproducible.</summary>
internal sealed class TopSelector(StageParams options) : ISelector
{
    private readonly int _perAuthorMax = options.Integer("max_per_author", 3, 1, 200);

    public Selection Select(FeedQuery query, IReadOnlyList<FeedCandidate> candidates)
    {
        var selected = new List<FeedCandidate>(query.Limit);
        var reserve = new List<FeedCandidate>();
        var taken = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (
            FeedCandidate candidate in candidates.OrderByDescending(Rank).ThenBy(candidate => candidate.ItemId, StringComparer.Ordinal))
        {
            int ofAuthor = taken.GetValueOrDefault(candidate.AuthorId);
            if (selected.Count == query.Limit || ofAuthor == _perAuthorMax)
            {
                reserve.Add(candidate);
                continue;
            }

            taken[candidate.AuthorId] = ofAuthor + 1;
            selected.Add(candidate);
        }

        return new Selection(selected, reserve);
    }

    // No scorer at all leaves NaN, which sorts last.
    private static double Rank(FeedCandidate candidate) => double.IsNaN(candidate.Score) ? double.NegativeInfinity : candidate.Score;
}
