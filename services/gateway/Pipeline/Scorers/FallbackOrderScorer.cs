using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Scorers;

/// <summary>
/// An order for when no ranker answered: followed authors first, then what several sources agree on, then similarity,
/// each fading with age. Score = (in network 1 + 0.25 per further source + 0.5 x similarity) x 0.5^(age / half-life),
/// so it lies in 0-3 and needs nothing but the candidates.
/// </summary>
internal sealed class FallbackOrderScorer(StageParams options) : IScorer
{
    /// <summary>What an experiment is told where no ranker answered.</summary>
    public const string Arm = "fallback-order";

    private const double MsPerHour = 60 * 60 * 1000;
    private readonly double _halfLifeHours = options.Number("half_life_hours", 24 * 7, 0.1, 24 * 3650);

    public Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call) => Task.FromResult<Action>(() =>
    {
        query.ScoredArm ??= Arm;

        // A retrieved list is best first; the position keeps that order among equals of a very old catalogue.
        for (int i = 0; i < candidates.Count; i++)
        {
            if (double.IsNaN(candidates[i].Composite))
                candidates[i].Composite = Score(query, candidates[i]) + (1e-6 * (candidates.Count - i) / candidates.Count);
        }
    });

    private double Score(FeedQuery query, FeedCandidate candidate)
    {
        double ageHours = Math.Max(0, query.NowMs - candidate.Data.CreatedAtMs) / MsPerHour;
        double similarity = float.IsFinite(candidate.Data.Similarity) ? Math.Clamp(candidate.Data.Similarity, 0, 1) : 0;
        double interest = 0.25 + (candidate.InNetwork ? 1 : 0) + (
            0.25 * Math.Min(4, Math.Max(0, candidate.Sources.Count - 1))) + (0.5 * similarity);
        return interest * Math.Pow(0.5, ageHours / _halfLifeHours);
    }
}
