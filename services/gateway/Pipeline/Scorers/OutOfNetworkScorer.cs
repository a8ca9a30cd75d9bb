using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Scorers;

/// <summary>Attenuates items by authors the user does not follow. For a user who follows nobody it would change no order, and is left out.</summary>
internal sealed class OutOfNetworkScorer(StageParams options) : IScorer
{
    private readonly double _factor = options.Number("factor", 0.75, 0, 1);

    public bool IsEnabled(FeedQuery query) => query.Context.Profile.Follows.Count > 0;

    public Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call) => Task.FromResult<Action>(() =>
    {
        foreach (FeedCandidate candidate in candidates) candidate.NetworkFactor = candidate.InNetwork ? 1 : _factor;
    });
}
