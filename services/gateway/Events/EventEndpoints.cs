using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Input;
using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.Gateway.Events;

/// <summary>The body of POST /v1/events, for the API description; <see cref="EventInput"/> reads the rows.</summary>
public sealed record EventBatchBody(IReadOnlyList<EventRowBody> Events);

/// <summary>One row: what one user did with one item.</summary>
/// <param name="EventId">ULID; absent = made here. Sent again with the same id it counts once.</param>
/// <param name="Action">A name of the action taxonomy, or "impression".</param>
/// <param name="Time">ISO 8601, or Unix milliseconds as a number. Absent = the time in the eventId; without either, now.</param>
public sealed record EventRowBody(
    string? EventId, string UserId, string ItemId, string Action, DateTimeOffset? Time, float? Value, string? RequestId, string? Surface);

internal static class EventEndpoints
{
    public static void MapEvents(this IEndpointRouteBuilder endpoints) =>
        endpoints.MapPost("/v1/events", PostEventsAsync).WithTags("Events").WithSummary("Report up to 1,000 actions of users on items")
            .WithDescription(
                "202 once the broker holds the accepted rows durably. A bad row never rejects its batch: it is listed in `rejected` with its "
                + "index and faults.")
            .Accepts<EventBatchBody>("application/json")
            .WithExample(
                """{"events":[{"userId":"user-1","itemId":"item-1","action":"like","time":"2026-11-22T13:00:00Z","requestId":"01JDA8M5W0Z3Q6T7Y8K9V0B1C2","surface":"home"}]}""",
                """{"accepted":1,"rejected":[]}""", 202)
            .WithBodyProblems();

    private static async Task<Results<Accepted<BatchResult>, ValidationProblem, ProblemHttpResult>> PostEventsAsync(
        HttpContext context, Batch batch, IValidator<EventInput> validator, TimeProvider clock)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request, context.RequestAborted);
        if (Batch.Rows(body.RootElement, "events", out Faults bodyFaults) is not { } rows) return Problem.Invalid(bodyFaults);

        DateTimeOffset now = clock.GetUtcNow();
        var rejected = new List<RejectedRow>();
        List<Row<Engagement>> bound = batch.Bind(Topics.Engagements, rows, (JsonElement element, out Faults faults) =>
        {
            EventInput input = EventInput.Bind(element, out faults);
            validator.Check(input, faults);
            return faults.Any ? null : input.ToEngagement(now);
        }, rejected);
        return await batch.AnswerAsync(context, Topics.Engagements, bound, rows.Length, rejected);
    }
}
