using Mesh.Contracts;
using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Pipeline.Scorers;

/// <summary>
/// 14 probabilities and a composite per candidate from the ranker. Where the ranker holds the user's sequence encoded by the
/// very model whose codes the candidates carry, its name is sent in place of the sequence; a ranker that has lost it meanwhile
/// says so, and is asked once more with everything. An answer that does not fit the question (another order or length, a
/// score that is no number) counts as a failure: wrong scores are worse than none.
/// </summary>
internal sealed class RankerScorer(IMeshServices services, GatewayMetrics metrics) : IScorer
{
    public bool IsHop => true;

    public async Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        var request = new ScoreRequest
        {
            RequestId = query.RequestId, UserId = query.UserId, NowMs = query.NowMs, Candidates = { candidates.Select(ToScore) },
            Arm = query.Arms.GetValueOrDefault(FeedQuery.RankerFlag, ""), SequenceVersion = query.Context.Version, CounterHalfLifeHours = query.CounterHalfLifeHours,
            ModelVersion = query.CodesVersion, Surface = query.Surface,
        };
        bool isPrepared = query.Prepared is { } prepared && prepared.ModelVersion == query.CodesVersion;
        if (isPrepared) request.ContextId = query.Prepared!.ContextId;
        else AddSequence(request, query);

        ScoreResponse response = await services.ScoreAsync(request, call.Budget, call.Cancellation);
        bool isMissing = isPrepared && response.ContextMissing;
        if (isMissing)
        {
            request.ContextId = "";
            AddSequence(request, query);
            response = await services.ScoreAsync(request, call.Left, call.Cancellation);
        }

        if (response.ContextMissing) throw new StageException("the ranker misses a context although it was sent the sequence");
        Check(candidates, response);
        bool usedPrepared = isPrepared && !isMissing;
        string outcome = usedPrepared ? "used" : isMissing ? "missing" : query.Prepared is null ? "none" : "stale";
        metrics.ContextScored(outcome, usedPrepared ? query.Prepared!.SequenceBytes : 0);
        return () =>
        {
            query.ModelVersion = response.ModelVersion;
            query.Weights = response.Weights;
            query.ScoredArm = response.Arm.Length > 0 ? response.Arm : request.Arm;
            query.FallbackReason = response.FallbackReason;
            query.UsedPrepared = usedPrepared;
            for (int i = 0; i < candidates.Count; i++)
            {
                candidates[i].Composite = response.Scores[i].Score;
                candidates[i].Probabilities = response.Scores[i].Probabilities;
            }
        };
    }

    private static void AddSequence(ScoreRequest request, FeedQuery query)
    {
        request.Sequence = query.Context.Sequence;
        request.History.Add(query.HistoryVersion == query.CodesVersion ? query.History : query.History.Select(WithoutCodes));
    }

    // A refill came from an index whose model was swapped meanwhile: codes of another model would say something false.
    private static HistoryItem WithoutCodes(HistoryItem item)
    {
        HistoryItem copy = item.Clone();
        copy.Codes.Clear();
        return copy;
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
