using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Simulator.Logs;

/// <summary>What a mesh knows of one user at a moment of a simulated log: events in order of time, follows, blocks, what was served.</summary>
internal sealed class LoggedUser(int index, string id, IEnumerable<int> follows)
{
    private readonly List<(int Item, byte Action, long TimeMs, float Value)> _events = [];

    public int Index => index;

    public string Id => id;

    public SortedSet<int> Follows { get; } = [.. follows];

    public HashSet<int> Blocks { get; } = [];

    public HashSet<int> Served { get; } = [];

    /// <summary>Items that the user clicked on, oldest first.</summary>
    public List<int> Clicked { get; } = [];

    public int Requests { get; set; }

    /// <param name="timeMs">Not before that of the last event.</param>
    public void Append(int item, int action, long timeMs, float value)
    {
        _events.Add((item, (byte)action, timeMs, value));
        if (action == LoggedMesh.Click) Clicked.Add(item);
    }

    /// <summary>The newest events, as sequence-store answers them.</summary>
    public Sequence Newest(int count, Func<int, string> idOf)
    {
        int skip = Math.Max(0, _events.Count - count);
        var sequence = new Sequence();
        var actions = new byte[_events.Count - skip];
        for (int i = 0; i < actions.Length; i++)
        {
            (int item, actions[i], long timeMs, float value) = _events[skip + i];
            sequence.ItemIds.Add(idOf(item));
            sequence.TimesMs.Add(timeMs);
            sequence.Values.Add(value);
            sequence.Surfaces.Add(0);
        }

        if (actions.Length > 0) sequence.SurfaceNames.Add(LoggedMesh.Surface);
        sequence.Actions = UnsafeByteOperations.UnsafeWrap(actions);
        return sequence;
    }
}
