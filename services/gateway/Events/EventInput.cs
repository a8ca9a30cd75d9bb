using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Input;
using Mesh.Gateway.Problems;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Events;

/// <summary>One action of one user on one item, as clients send it.</summary>
/// <param name="EventId">ULID; absent = the gateway makes one. A client that retries sends the same again.</param>
/// <param name="Time">ISO 8601 or Unix milliseconds; absent = the time in the eventId, else now.</param>
/// <param name="Value">Seconds for dwell, a rating, ...; absent = none.</param>
/// <param name="RequestId">requestId of the feed page that showed the item.</param>
public sealed record EventInput(
    string? EventId, string? UserId, string? ItemId, string? Action, long? Time, float? Value, string? RequestId, string? Surface)
{
    internal static EventInput Bind(JsonElement element, out Faults faults)
    {
        JsonRow row = JsonRow.Open(element);
        faults = row.Faults;
        return new EventInput(
            row.Text("eventId"), row.Text("userId"), row.Text("itemId"), row.Text("action"), row.Time("time"), row.Number("value"),
            row.Text("requestId"), row.Text("surface"));
    }

    internal Engagement ToEngagement(DateTimeOffset now) => new()
    {
        EventId = EventId?.ToUpperInvariant() ?? Ulid.NewUlid(now).ToString(), // consumers compare the text
        UserId = UserId,
        ItemId = ItemId,
        Action = Action,
        // The time in the id, not the time of this call: a client that sends the row again sends the same event, and the log
        // finds the first one at the same time.
        TimeMs = Time ?? (EventId is null ? now.ToUnixTimeMilliseconds() : Moment.OfUlid(EventId)),
        Value = Value ?? 0,
        RequestId = RequestId?.ToUpperInvariant() ?? "",
        Surface = Surface ?? "",
        ReceivedAtMs = now.ToUnixTimeMilliseconds(),
    };
}

internal sealed class EventInputValidator : AbstractValidator<EventInput>
{
    private static readonly string Actions = string.Join(", ", ActionTaxonomy.Default.Names.Append(ActionTaxonomy.Default.Impression));

    public EventInputValidator(IOptions<GatewayOptions> options, TimeProvider clock)
    {
        RuleFor(input => input.EventId).IsUlidOrAbsent("eventId");
        RuleFor(input => input.EventId).HoldsNoFutureMoment("eventId", clock, options.Value.FutureHoursMax)
            .When(input => input.Time is null);
        RuleFor(input => input.UserId).IsId("userId");
        RuleFor(input => input.ItemId).IsId("itemId");
        RuleFor(input => input.Action).Must(action => action is not null && ActionTaxonomy.Default.IndexOf(action) >= 0)
            .WithMessage((_, action) =>
                action is null ? $"action is missing: one of {Actions}." : $"action {Shown.Value(action)} is not one of {Actions}.");
        RuleFor(input => input.Time).IsMomentOrAbsent("time", 0, clock, options.Value.FutureHoursMax);
        RuleFor(input => input.RequestId).IsUlidOrAbsent("requestId");
        RuleFor(input => input.Surface).IsLabelOrAbsent("surface", Rules.SurfaceLengthMax);
    }
}
