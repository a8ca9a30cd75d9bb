using Mesh.Contracts;
using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Pipeline.Scorers;

/// <summary>
/// 14 probabilities and a composite per candidate from the ranker. An answer that does not fit the question (another
/// order or length, a score that is no number) counts as a failure: wrong scores are worse than none.
/// </summary>
internal sealed class RankerScorer(IMeshServices services) : IScorer
{
    /// <summary>The flag whose arm names the scorer inside the ranker.</summary>
    public const string Flag = "ranker";

    public bool IsHop => true;

    public async Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        var request = new ScoreRequest
        {
            RequestId = query.RequestId, UserId = query.UserId, NowMs = query.NowMs, Sequence = query.Context.Sequence, History = { query.History },
            Candidates = { candidates.Select(ToScore) }, Arm = query.Arms.GetValueOrDefault(Flag, ""), SequenceVersion = query.Context.Version,
            CounterHalfLifeHours = query.CounterHalfLifeHours,
        };
        ScoreResponse response = await services.ScoreAsync(request, call.Budget, call.Cancellation);
        Check(candidates, response);
        return () =>
        {
            query.ModelVersion = response.ModelVersion;
            query.Weights = response.Weights;
            for (int i = 0; i < candidates.Count; i++)
            {
                candidates[i].Composite = response.Scores[i].Score;
                candidates[i].Probabilities = response.Scores[i].Probabilities;
            }
        };
    }

    // The ranker sees the network as this user's, and no text: it is large, and no feature.
    private static Candidate ToScore(FeedCandidate candidate)
    {
        if (candidate.Data.Text.Length == 0 && candidate.Data.InNetwork == candidate.InNetwork && candidate.Data.Sources.Count == candidate.Sources.Count)
            return candidate.Data;
        Candidate copy = candidate.Data.Clone();
        copy.Text = "";
        copy.InNetwork = candidate.InNetwork;
        copy.Sources.Clear();
        copy.Sources.Add(candidate.Sources);
        return copy;
    }

    private static void Check(IReadOnlyList<FeedCandidate> candidates, ScoreResponse response)
    {
        if (response.Scores.Count != candidates.Count)
            throw new StageException($"the ranker answered {response.Scores.Count} scores for {candidates.Count} candidates");
        for (int i = 0; i < candidates.Count; i++)
        {
            CandidateScore score = response.Scores[i];
            if (score.ItemId != candidates[i].ItemId)
                throw new StageException($"the ranker's score {i} is of item {score.ItemId}, not of {candidates[i].ItemId}");
            if (!float.IsFinite(score.Score)) throw new StageException($"the ranker's score of item {score.ItemId} is {score.Score}");
        }
    }
}
