using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.SequenceStore.Training;

/// <summary>GET training: the export as lines of protobuf JSON. docs/training-export.md is its reference.</summary>
internal static class TrainingEndpoint
{
    public const long WindowMsDefault = 24L * 60 * 60 * 1_000;
    public const long WindowMsMax = 30 * WindowMsDefault;
    public const int UnservedMax = 5_000;

    public static void MapTraining(this IEndpointRouteBuilder endpoints) => endpoints.MapGet("/training", Export);

    private static Results<JsonLinesResult, ValidationProblem, ProblemHttpResult> Export(
        [AsParameters] TrainingParameters parameters, TrainingExport export, ExportGate gate, SequenceMetrics metrics, TimeProvider clock, HttpContext context)
    {
        var checks = new InputChecks();
        TrainingQuery query = parameters.ToQuery(checks, clock.GetUtcNow().ToUnixTimeMilliseconds());
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);
        if (gate.TryEnter() is not { } place)
        {
            return TypedResults.Problem($"{gate.Max} exports run, which is the most at a time (Sequence:ExportsMax). Ask again later.", statusCode: StatusCodes.Status503ServiceUnavailable);
        }

        context.Response.RegisterForDispose(place);
        return new JsonLinesResult(Counted(export.RowsAsync(query, context.RequestAborted), metrics));
    }

    private static async IAsyncEnumerable<IMessage> Counted(IAsyncEnumerable<TrainingRow> rows, SequenceMetrics metrics)
    {
        await foreach (TrainingRow row in rows)
        {
            yield return row;
            metrics.TrainingRowSent();
        }
    }
}

/// <summary>How many exports run: each holds one user's log at a time, and reads as fast as its client takes it.</summary>
internal sealed class ExportGate(IOptions<SequenceOptions> options) : IDisposable
{
    private readonly SemaphoreSlim _places = new(options.Value.ExportsMax);

    public int Max => options.Value.ExportsMax;

    /// <summary>A place, given back when it is disposed; null where none is free.</summary>
    public IDisposable? TryEnter() => _places.Wait(0) ? new Place(_places) : null;

    public void Dispose() => _places.Dispose();

    private sealed class Place(SemaphoreSlim places) : IDisposable
    {
        public void Dispose() => places.Release();
    }
}

/// <summary>The query string, as text, so that all its faults can be told at once.</summary>
internal sealed record TrainingParameters(string? From, string? Until, string? MaxEvents, string? WindowMs, string? MaxUnserved, string? Limit, string? After)
{
    public TrainingQuery ToQuery(InputChecks checks, long nowMs)
    {
        long windowMs = checks.Number("windowMs", WindowMs, 1, TrainingEndpoint.WindowMsMax, TrainingEndpoint.WindowMsDefault);
        long fromMs = checks.Number("from", From, 0, long.MaxValue, 0);
        long untilMs = checks.Number("until", Until, 0, long.MaxValue, Math.Max(0, nowMs - windowMs));
        if (From is not null && Until is not null && fromMs > untilMs) checks.Rule("from", $"{fromMs} is after until, {untilMs}");
        TrainingCursor? after = string.IsNullOrEmpty(After) ? null : TrainingCursor.Parse(After);
        if (after is null && !string.IsNullOrEmpty(After)) checks.Rule("after", $"must be requestId:userId of a row: a ULID, a colon and {MeshId.Rule}");
        return new TrainingQuery(
            fromMs,
            untilMs,
            (int)checks.Number("maxEvents", MaxEvents, 0, SequenceEndpoints.ContextEventsMax, SequenceEndpoints.ContextEventsDefault),
            windowMs,
            (int)checks.Number("maxUnserved", MaxUnserved, 0, TrainingEndpoint.UnservedMax, 0),
            checks.Number("limit", Limit, 1, long.MaxValue, long.MaxValue),
            after);
    }
}
