using Mesh.Contracts.Storage;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Catalogue;

/// <summary>
/// When a change happened: by time, then by the hash of its event id. Ordering changes by it makes them idempotent and
/// independent of their order of arrival, with no list of ids to keep: an equal stamp is a redelivery, a lower one came late.
/// </summary>
internal readonly record struct Stamp(long TimeMs, ulong Event) : IComparable<Stamp>
{
    public static Stamp Of(long timeMs, string eventId) => new(timeMs, StableHash.Compute(eventId));

    public static Stamp Of(ChangeStamp? stored) => stored is null ? default : new Stamp(stored.TimeMs, stored.Event);

    public ChangeStamp ToMessage() => new() { TimeMs = TimeMs, Event = Event };

    public int CompareTo(Stamp other) => TimeMs != other.TimeMs ? TimeMs.CompareTo(other.TimeMs) : Event.CompareTo(other.Event);

    public static bool operator <(Stamp x, Stamp y) => x.CompareTo(y) < 0;

    public static bool operator >(Stamp x, Stamp y) => x.CompareTo(y) > 0;

    public static bool operator <=(Stamp x, Stamp y) => x.CompareTo(y) <= 0;

    public static bool operator >=(Stamp x, Stamp y) => x.CompareTo(y) >= 0;
}
