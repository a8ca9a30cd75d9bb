using Mesh.Contracts;
using Mesh.Ranker.Heuristic;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Scoring;

/// <summary>
/// One request from arm to answer. The transformer answers where it can and is asked; where it cannot, the heuristic does, and
/// the answer says so: no request that can be understood goes without scores, unless its context is not here.
/// </summary>
internal sealed class Ranking(
    ScorerSet scorers, HeuristicScorer heuristic, TransformerScorer transformer, ContextCache contexts, ScoreWeights weights, RankerMetrics metrics)
{
    /// <param name="cutoff">When the transformer's time is over.</param>
    /// <param name="cancellation">When the caller's is.</param>
    public async Task<ScoreResponse> ScoreAsync(ScoreRequest request, CancellationToken cutoff, CancellationToken cancellation)
    {
        string arm = scorers.Resolve(request.Arm);
        if (arm == ExploreScorer.ArmName) return await ScoreAsync(request, scorers.Find(arm)!, fallback: null, cancellation);

        // A sequence that is sent is the one to score with, whatever context is named beside it: it may be newer.
        bool leftOut = request.SequenceLeftOut();
        ContextEntry? held = leftOut ? contexts.Find(request.ContextId, request.UserId) : null;
        if (held is null && leftOut) return Missing(request, arm);

        Fallback? fallback = null;
        if (arm == TransformerScorer.ArmName)
        {
            try
            {
                TransformerScores scores = await transformer.ScoreAsync(request, held, cutoff, cancellation);
                return scores.ContextMissing ? Missing(request, arm) : Compose(request, arm, scores.ModelVersion, scores.Probabilities!);
            }
            catch (FallbackException exception)
            {
                fallback = exception.Fallback;
                metrics.FellBack(fallback.Tag);
            }
        }

        if (leftOut)
        {
            request.Sequence = held!.Sequence;
            request.History.Add(held.History);
        }

        return await ScoreAsync(request, heuristic, fallback, cancellation);
    }

    private async Task<ScoreResponse> ScoreAsync(ScoreRequest request, IScorer scorer, Fallback? fallback, CancellationToken cancellation)
    {
        float[] probabilities = await scorer.PredictAsync(request, cancellation);
        ScoreResponse response = Compose(request, scorer.Arm, scorer.ModelVersion, probabilities);
        response.FallbackReason = fallback?.ToString() ?? "";
        return response;
    }

    private ScoreResponse Missing(ScoreRequest request, string arm)
    {
        metrics.ContextLookedUp("missing");
        return new ScoreResponse { ContextMissing = true, Arm = arm, ModelVersion = request.ModelVersion, Weights = { weights.Current } };
    }

    private ScoreResponse Compose(ScoreRequest request, string arm, string modelVersion, float[] probabilities)
    {
        float[] current = weights.Current;
        var response = new ScoreResponse { ModelVersion = modelVersion, Arm = arm, Weights = { current } };
        for (int i = 0; i < request.Candidates.Count; i++)
        {
            ReadOnlySpan<float> row = probabilities.AsSpan(i * current.Length, current.Length);
            var score = new CandidateScore { ItemId = request.Candidates[i].ItemId, Score = CompositeScore.Compute(current, row) };
            score.Probabilities.Capacity = row.Length;
            foreach (float probability in row) score.Probabilities.Add(probability);
            response.Scores.Add(score);
        }

        return response;
    }
}
