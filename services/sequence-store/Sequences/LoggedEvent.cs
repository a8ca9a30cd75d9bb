namespace Mesh.SequenceStore.Sequences;

/// <summary>Where an event stands in its user's log: by time, and by id among events of the same millisecond.</summary>
internal readonly record struct EventKey(long TimeMs, Ulid Id) : IComparable<EventKey>
{
    public static EventKey None => new(long.MinValue, Ulid.Empty);

    public int CompareTo(EventKey other) => TimeMs != other.TimeMs ? TimeMs.CompareTo(other.TimeMs) : Id.CompareTo(other.Id);
}

/// <summary>One event of a user's log.</summary>
/// <param name="Action">Index into the action taxonomy, the impression included.</param>
/// <param name="RequestId">The feed request that showed the item; <see cref="Ulid.Empty"/> = none.</param>
internal readonly record struct LoggedEvent(EventKey Key, string ItemId, byte Action, float Value, Ulid RequestId, string Surface)
{
    public static int ByKey(LoggedEvent x, LoggedEvent y) => x.Key.CompareTo(y.Key);
}

/// <summary>An event on its way into the log.</summary>
/// <param name="ReceivedAtMs">When the gateway took it in; 0 = its producer does not say.</param>
internal readonly record struct IncomingEvent(LoggedEvent Event, long ReceivedAtMs)
{
    // Without a word from the producer the event's own time is the best there is.
    public long AcceptedMs => ReceivedAtMs > 0 ? ReceivedAtMs : Event.Key.TimeMs;
}
