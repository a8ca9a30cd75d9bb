using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Ranker.Scoring;

/// <summary>
/// An order drawn at random: one number per request and item, by stable hash, as the probability of every action. Served to a
/// small share of requests, it gives training data that no ranker has chosen. The same request gets the same order again.
/// </summary>
internal sealed class ExploreScorer : IScorer
{
    public const string ArmName = "explore";

    public string Arm => ArmName;

    public string ModelVersion => "explore-1";

    public Task<float[]> PredictAsync(ScoreRequest request, CancellationToken cancellation)
    {
        int actions = ActionTaxonomy.Default.Count;
        ulong seed = StableHash.Compute(request.RequestId);
        var probabilities = new float[request.Candidates.Count * actions];
        for (int i = 0; i < request.Candidates.Count; i++)
        {
            ulong hash = StableHash.Mix(seed ^ StableHash.Compute(request.Candidates[i].ItemId));
            // 23 bits and a half: every value is exact in a float, above 0 and below 1.
            probabilities.AsSpan(i * actions, actions).Fill(((hash >> 41) + 0.5f) / (1 << 23));
        }

        return Task.FromResult(probabilities);
    }
}
