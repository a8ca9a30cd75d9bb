using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Scorers;

/// <summary>
/// Keeps one author from filling the page: with candidates sorted by score, the k-th of an author (k = 0, 1, ...) is
/// attenuated by (1 - floor) x factor^k + floor.
/// </summary>
internal sealed class AuthorDiversityScorer(StageParams options) : IScorer
{
    private readonly double _factor = options.Number("factor", 0.7, 0, 1);
    private readonly double _floor = options.Number("floor", 0, 0, 1);

    public Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        var passed = new Dictionary<string, int>(StringComparer.Ordinal);
        var ranks = new List<(FeedCandidate Candidate, int Rank)>(candidates.Count);
        foreach (
            FeedCandidate candidate in candidates.OrderByDescending(candidate => candidate.Score).ThenBy(candidate => candidate.ItemId, StringComparer.Ordinal))
        {
            int rank = passed.GetValueOrDefault(candidate.AuthorId);
            passed[candidate.AuthorId] = rank + 1;
            ranks.Add((candidate, rank));
        }

        return Task.FromResult<Action>(() =>
        {
            foreach ((FeedCandidate candidate, int rank) in ranks)
            {
                candidate.AuthorRank = rank;
                candidate.DiversityFactor = Factor(rank, _factor, _floor);
            }
        });
    }

    internal static double Factor(int rank, double factor, double floor) => ((1 - floor) * Math.Pow(factor, rank)) + floor;
}
