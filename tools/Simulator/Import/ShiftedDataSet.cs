using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Import;

/// <summary>
/// The same data set with every time moved, so that a feed with an age limit sees a catalogue of years ago as today's. Event
/// ids stay those of the true times: importing twice with different shifts still counts every event once.
/// </summary>
public sealed class ShiftedDataSet(IDataSet data, TimeSpan shift) : IDataSet
{
    private readonly long _shiftMs = (long)shift.TotalMilliseconds;

    public string Name => data.Name;

    public int? ItemCount => data.ItemCount;

    public int? FollowCount => data.FollowCount;

    public int? EventCount => data.EventCount;

    public IEnumerable<ItemBody> Items() => data.Items().Select(item => item with { CreatedAt = item.CreatedAt + _shiftMs });

    public IEnumerable<FollowBody> Follows() => data.Follows();

    public IEnumerable<EventBody> Events() => data.Events().Select(row => row with { Time = row.Time + _shiftMs });
}
