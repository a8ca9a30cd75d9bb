using System.Text.Json.Nodes;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Remote;

/// <summary>A scorer in another app: <c>scores</c> maps item ids to numbers, and replaces the composite of those it names.</summary>
internal sealed class RemoteScorer(IMeshServices services, StageDefinition stage) : IScorer
{
    public bool IsHop => true;

    public async Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        JsonNode? answer = await services.InvokeStageAsync(
            stage.Invoke!.AppId, stage.Invoke.Method, StageJson.Request(query, candidates, stage.Params), call.Budget, call.Cancellation);
        if (answer?["scores"] is not JsonObject scores) throw new StageException("the stage answered no scores");

        var updates = new List<(FeedCandidate Candidate, double Score)>(candidates.Count);
        foreach (FeedCandidate candidate in candidates)
        {
            if (scores[candidate.ItemId] is not { } node) continue;
            if (node is not JsonValue value || !value.TryGetValue(out double score) || !double.IsFinite(score))
                throw new StageException($"the stage's score of item {candidate.ItemId} is no number");
            updates.Add((candidate, score));
        }

        return () =>
        {
            foreach ((FeedCandidate candidate, double score) in updates) candidate.Composite = score;
        };
    }
}
