using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Simulator.Logs;

/// <summary>What a mesh knows of one user at a moment of a simulated log: events in order of time, follows, blocks, what was served.</summary>
internal sealed class LoggedUser(int index, string id, IEnumerable<int> follows)
{
    // In columns, as rows hold them: a row of 512 events is then four copies.
    private readonly List<string> _itemIds = [];
    private readonly List<byte> _actions = [];
    private readonly List<long> _timesMs = [];
    private readonly List<float> _values = [];

    public int Index => index;

    public string Id => id;

    public List<int> Follows { get; } = [.. follows];

    public HashSet<int> Blocks { get; } = [];

    public HashSet<int> Served { get; } = [];

    /// <summary>Items that the user clicked on, oldest first.</summary>
    public List<int> Clicked { get; } = [];

    public int Requests { get; set; }

    /// <param name="timeMs">Not before that of the last event.</param>
    public void Append(string itemId, int action, long timeMs, float value)
    {
        _itemIds.Add(itemId);
        _actions.Add((byte)action);
        _timesMs.Add(timeMs);
        _values.Add(value);
    }

    /// <summary>The newest events, as sequence-store answers them.</summary>
    public Sequence Newest(int max)
    {
        int skip = Math.Max(0, _actions.Count - max), count = _actions.Count - skip;
        var sequence = new Sequence
        {
            ItemIds = { _itemIds.GetRange(skip, count) }, TimesMs = { _timesMs.GetRange(skip, count) }, Values = { _values.GetRange(skip, count) },
            Surfaces = { new uint[count] }, Actions = ByteString.CopyFrom(CollectionsMarshal.AsSpan(_actions)[skip..]),
        };
        if (count > 0) sequence.SurfaceNames.Add(LoggedMesh.Surface);
        return sequence;
    }
}
