using System.Diagnostics;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Ranker.Scoring;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker;

/// <summary>What the gateway calls through the sidecar. Bodies are protobuf; faults are problem details.</summary>
internal static class RankerEndpoints
{
    public static void MapRanker(this WebApplication app)
    {
        app.MapPost("/score", ScoreAsync);
        app.MapGet("/status", Status);

        // Faults in the weights and in the default arm stop the process here, not the first request.
        app.Services.GetRequiredService<ScoreWeights>();
        app.Services.GetRequiredService<ScorerSet>();
    }

    private static async Task<Results<ProtobufResult, ValidationProblem>> ScoreAsync(
        HttpRequest httpRequest, ScorerSet scorers, ScoreWeights weights, RankerMetrics metrics, IOptions<RankerOptions> options, CancellationToken cancellation)
    {
        ScoreRequest request = await httpRequest.ReadProtobufAsync<ScoreRequest>(cancellation);
        Dictionary<string, string[]> faults = FaultsOf(request, scorers, options.Value);
        if (faults.Count > 0)
        {
            metrics.Rejected();
            return TypedResults.ValidationProblem(faults);
        }

        long started = Stopwatch.GetTimestamp();
        IScorer scorer = scorers.Find(request.Arm)!;
        float[] probabilities = await scorer.PredictAsync(request, cancellation);
        ScoreResponse response = Compose(request, scorer, weights.Current, probabilities);
        metrics.Scored(Stopwatch.GetElapsedTime(started), request.Candidates.Count, scorer.ModelVersion);
        return new ProtobufResult(response);
    }

    private static ProtobufResult Status(ScorerSet scorers) =>
        new(new RankerStatus { ModelVersion = scorers.Default.ModelVersion, Arms = { scorers.Arms } });

    private static Dictionary<string, string[]> FaultsOf(ScoreRequest request, ScorerSet scorers, RankerOptions options)
    {
        var faults = new Dictionary<string, string[]>();
        if (request.Candidates.Count > options.CandidatesMax)
        {
            faults["candidates"] = [$"{request.Candidates.Count} candidates; at most {options.CandidatesMax}"];
        }

        if (scorers.Find(request.Arm) is null) faults["arm"] = [$"'{request.Arm}' is not an arm; there are: {string.Join(", ", scorers.Arms)}"];
        if (request.Sequence is { } sequence && (sequence.Actions.Length != sequence.ItemIds.Count || sequence.TimesMs.Count != sequence.ItemIds.Count))
        {
            faults["sequence"] = [$"columns differ in length: {sequence.ItemIds.Count} items, {sequence.Actions.Length} actions, {sequence.TimesMs.Count} times"];
        }

        return faults;
    }

    private static ScoreResponse Compose(ScoreRequest request, IScorer scorer, float[] weights, float[] probabilities)
    {
        var response = new ScoreResponse { ModelVersion = scorer.ModelVersion, Arm = scorer.Arm, Weights = { weights } };
        for (int i = 0; i < request.Candidates.Count; i++)
        {
            ReadOnlySpan<float> row = probabilities.AsSpan(i * weights.Length, weights.Length);
            var score = new CandidateScore { ItemId = request.Candidates[i].ItemId, Score = CompositeScore.Compute(weights, row) };
            foreach (float probability in row) score.Probabilities.Add(probability);
            response.Scores.Add(score);
        }

        return response;
    }
}
