using Mesh.Contracts;
using Mesh.Gateway.Input;

namespace Mesh.Gateway.Users;

/// <summary>Events of a user, newest first.</summary>
/// <param name="EventsTotal">All events of the user up to that moment, also those not listed.</param>
public sealed record HistoryResponse(string UserId, IReadOnlyList<HistoryEvent> Events, long EventsTotal)
{
    internal static HistoryResponse From(string userId, UserHistory history) => new(
        userId,
        [
            .. history.Events.Select(entry => new HistoryEvent(
                entry.EventId, entry.ItemId, entry.Action, Moment.Format(entry.TimeMs), float.IsFinite(entry.Value) ? entry.Value : 0, entry.RequestId, entry.Surface)),
        ],
        history.EventsTotal);
}

public sealed record HistoryEvent(string EventId, string ItemId, string Action, string Time, float Value, string RequestId, string Surface);
