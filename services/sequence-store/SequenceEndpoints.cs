using System.Diagnostics;
using System.Globalization;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Training;
using Mesh.SequenceStore.Writing;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.SequenceStore;

/// <summary>What the gateway calls through the sidecar. Bodies are protobuf; faults are problem details.</summary>
internal static class SequenceEndpoints
{
    public const int ContextEventsMax = 4_096;
    public const int ContextEventsDefault = 512;
    public const int HistoryLimitMax = 1_000;
    public const int HistoryLimitDefault = 100;

    public static void MapSequenceStore(this WebApplication app)
    {
        app.MapGet("/users/{user}/context", ContextAsync);
        app.MapGet("/users/{user}/history", HistoryAsync);
        app.MapPost("/users/{user}/profile", ChangeProfileAsync);
        app.MapDelete("/users/{user}", EraseAsync);
        app.MapPost("/requests", LogRequestAsync);
        app.MapGet("/requests/{requestId}", FindRequestAsync);
        app.MapTraining();
        app.MapGet("/status", Status);

        var subscriber = app.Services.GetRequiredService<EventSubscriber>();
        app.MapBulkTopic<Engagement>(Components.PubSub, Topics.Engagements, subscriber.EngagementsAsync);
        app.MapBulkTopic<Impressions>(Components.PubSub, Topics.Impressions, subscriber.ImpressionsAsync);
        app.MapActorsHandlers();
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> ContextAsync(
        string user, string? asOf, string? maxEvents, SequenceReader reader, SequenceMetrics metrics, TimeProvider clock, CancellationToken cancellation)
    {
        var checks = new InputChecks().User(user);
        long asOfMs = checks.Number("asOf", asOf, 0, long.MaxValue, clock.GetUtcNow().ToUnixTimeMilliseconds());
        int eventsMax = (int)checks.Number("maxEvents", maxEvents, 0, ContextEventsMax, ContextEventsDefault);
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        long started = Stopwatch.GetTimestamp();
        try
        {
            UserContext context = await reader.ContextAsync(user, asOfMs, eventsMax, cancellation);
            metrics.ContextRead(Stopwatch.GetElapsedTime(started));
            return new ProtobufResult(context);
        }
        catch (TornReadException exception)
        {
            return Busy(exception);
        }
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> HistoryAsync(
        string user, string? asOf, string? limit, SequenceReader reader, TimeProvider clock, CancellationToken cancellation)
    {
        var checks = new InputChecks().User(user);
        long asOfMs = checks.Number("asOf", asOf, 0, long.MaxValue, clock.GetUtcNow().ToUnixTimeMilliseconds());
        int count = (int)checks.Number("limit", limit, 1, HistoryLimitMax, HistoryLimitDefault);
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        try
        {
            return new ProtobufResult(await reader.HistoryAsync(user, asOfMs, count, cancellation));
        }
        catch (TornReadException exception)
        {
            return Busy(exception);
        }
    }

    private static async Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> ChangeProfileAsync(
        string user, HttpRequest request, IUserWriter writer, CancellationToken cancellation)
    {
        ProfileChange change = await request.ReadProtobufAsync<ProfileChange>(cancellation);
        var checks = new InputChecks().User(user).Rule("change", UserProfile.FaultOf(change));
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        return await writer.ChangeProfileAsync(user, change, cancellation) switch
        {
            ProfileOutcome.ListFull => TypedResults.Problem(
                $"The list holds {Limits.ProfileListMax} entries, which is the most it may. Remove one first.", statusCode: StatusCodes.Status409Conflict),
            _ => TypedResults.NoContent(),
        };
    }

    private static async Task<Results<NoContent, ValidationProblem>> EraseAsync(
        string user, IUserWriter writer, ILogger<SequenceReader> logger, CancellationToken cancellation)
    {
        var checks = new InputChecks().User(user);
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        await writer.EraseAsync(user, cancellation);
        Log.UserErased(logger);
        return TypedResults.NoContent();
    }

    private static async Task<Results<NoContent, ValidationProblem>> LogRequestAsync(HttpRequest request, IUserWriter writer, CancellationToken cancellation)
    {
        RequestLogEntry entry = await request.ReadProtobufAsync<RequestLogEntry>(cancellation);
        var checks = new InputChecks().User(entry.UserId).Rule("requestId", MeshId.IsUlid(entry.RequestId) ? "" : "must be a ULID")
            .Rule("timeMs", entry.TimeMs > 0 ? "" : $"{entry.TimeMs} is not a time");
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        await writer.LogRequestAsync(entry, cancellation);
        return TypedResults.NoContent();
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> FindRequestAsync(
        string requestId, RequestLog requests, CancellationToken cancellation)
    {
        var checks = new InputChecks().Rule("requestId", MeshId.IsUlid(requestId) ? "" : "must be a ULID");
        if (checks.Faults.Count > 0) return TypedResults.ValidationProblem(checks.Faults);

        return await requests.FindAsync(Ulid.Parse(requestId), cancellation) is { } entry
            ? new ProtobufResult(entry)
            : TypedResults.Problem($"No request {requestId} is in the log.", statusCode: StatusCodes.Status404NotFound);
    }

    private static Ok<SequenceStatus> Status(SequenceMetrics metrics) =>
        TypedResults.Ok(new SequenceStatus(metrics.EventsAppended, metrics.Duplicates, metrics.LastEventLagMs));

    private static ProblemHttpResult Busy(TornReadException exception) =>
        TypedResults.Problem(exception.Message + " Ask again.", statusCode: StatusCodes.Status503ServiceUnavailable);
}

/// <summary>GET status: counted since this process started.</summary>
internal sealed record SequenceStatus(long EventsAppended, long Duplicates, long LastEventLagMs);

/// <summary>Collects every fault of a request, so that the answer names them all at once.</summary>
internal sealed class InputChecks
{
    public Dictionary<string, string[]> Faults { get; } = [];

    public InputChecks User(string user) => Rule("user", MeshId.IsValid(user) ? "" : $"must be {MeshId.Rule}");

    public InputChecks Rule(string field, string fault)
    {
        if (fault.Length > 0) Faults[field] = [fault];
        return this;
    }

    public long Number(string field, string? text, long min, long max, long fallback)
    {
        if (text is null) return fallback;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= min && value <= max) return value;

        Faults[field] = [$"'{text}' must be a whole number from {min} to {max}"];
        return fallback;
    }
}
