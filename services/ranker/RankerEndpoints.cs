using System.Diagnostics;
using System.Globalization;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Ranker.Heuristic;
using Mesh.Ranker.Scoring;
using Mesh.Ranker.Transformer;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker;

/// <summary>What the gateway calls through the sidecar, and the topic of models. Bodies are protobuf; faults are problem details.</summary>
internal static class RankerEndpoints
{
    public static void MapRanker(this WebApplication app)
    {
        app.MapPost("/prepare", PrepareAsync);
        app.MapPost("/score", ScoreAsync);
        app.MapGet("/status", Status);
        // Every replica gets every change: each holds its own models.
        app.MapBulkTopic<ModelChange>(
            Components.DeltaPubSub, Topics.Models, app.Services.GetRequiredService<ModelKeeper>().ReceiveAsync, messagesMax: 16);

        // Faults in the weights and in the default arm stop the process here, not the first request.
        app.Services.GetRequiredService<ScoreWeights>();
        app.Services.GetRequiredService<ScorerSet>();
        app.Services.GetRequiredService<RankerMetrics>().Watch(
            app.Services.GetRequiredService<ContextCache>(), app.Services.GetRequiredService<ScoreCache>(), app.Services.GetRequiredService<CandidateBatcher>());
    }

    private static async Task<Results<ProtobufResult, ValidationProblem>> PrepareAsync(
        HttpContext context, TransformerScorer transformer, RankerFaults checks, RankerMetrics metrics,
        IOptions<TransformerOptions> options, TimeProvider clock)
    {
        using CancellationTokenSource timer = StartTimer(context, options.Value, clock);
        using var cutoff = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, context.RequestAborted);
        PrepareRequest request = await context.Request.ReadProtobufAsync<PrepareRequest>(context.RequestAborted);
        Dictionary<string, string[]> faults = checks.Of(request);
        if (faults.Count > 0)
        {
            metrics.Rejected();
            return TypedResults.ValidationProblem(faults);
        }

        long started = Stopwatch.GetTimestamp();
        PrepareResponse response = await transformer.PrepareAsync(request, cutoff.Token);
        metrics.Prepared(Stopwatch.GetElapsedTime(started), response.Cached);
        return new ProtobufResult(response);
    }

    private static async Task<Results<ProtobufResult, ValidationProblem>> ScoreAsync(
        HttpContext context, Ranking ranking, RankerFaults checks, RankerMetrics metrics,
        IOptions<TransformerOptions> options, TimeProvider clock)
    {
        using CancellationTokenSource timer = StartTimer(context, options.Value, clock);
        using var cutoff = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, context.RequestAborted);
        ScoreRequest request = await context.Request.ReadProtobufAsync<ScoreRequest>(context.RequestAborted);
        Dictionary<string, string[]> faults = checks.Of(request);
        if (faults.Count > 0)
        {
            metrics.Rejected();
            return TypedResults.ValidationProblem(faults);
        }

        long started = Stopwatch.GetTimestamp();
        ScoreResponse response = await ranking.ScoreAsync(request, cutoff.Token, context.RequestAborted);
        if (!response.ContextMissing) metrics.Scored(Stopwatch.GetElapsedTime(started), response);
        return new ProtobufResult(response);
    }

    private static ProtobufResult Status(ScorerSet scorers, ModelSet models, HeuristicScorer heuristic) => new(new RankerStatus
    {
        ModelVersion = models.Live is { Length: > 0 } live ? live : heuristic.ModelVersion,
        Arms = { scorers.Arms },
        ModelVersions = { models.Versions },
    });

    // The caller's budget less what the heuristic and the answer take: whoever is late must still be answered in time.
    private static CancellationTokenSource StartTimer(HttpContext context, TransformerOptions options, TimeProvider clock)
    {
        int timeMs = int.TryParse(context.Request.Headers[Deadline.Header], NumberStyles.None, CultureInfo.InvariantCulture, out int budgetMs)
            ? Math.Max(0, budgetMs - options.ReserveMs)
            : options.TimeoutMs;
        return new CancellationTokenSource(TimeSpan.FromMilliseconds(timeMs), clock);
    }
}
