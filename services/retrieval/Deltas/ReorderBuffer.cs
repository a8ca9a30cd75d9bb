using Mesh.Contracts;

namespace Mesh.Retrieval.Deltas;

/// <summary>
/// Deltas that came before their turn, by sequence number. Bounded: past the limit the latest go, because the earliest are
/// needed first, and what went is fetched from the log. Used by the one writer only.
/// </summary>
internal sealed class ReorderBuffer(int deltasMax)
{
    private readonly SortedDictionary<ulong, IndexDelta> _ahead = [];

    public int Count => _ahead.Count;

    /// <summary>Sequence number of the earliest delta held; only where <see cref="Count"/> is above zero.</summary>
    public ulong First => _ahead.First().Key;

    /// <summary>Takes a delta in, unless it is applied or held already.</summary>
    /// <returns>How many deltas had to go to make room: 0 or 1.</returns>
    public int Add(IndexDelta delta, ulong applied)
    {
        if (delta.Sequence <= applied || !_ahead.TryAdd(delta.Sequence, delta) || _ahead.Count <= deltasMax) return 0;
        _ahead.Remove(_ahead.Last().Key);
        return 1;
    }

    /// <summary>Takes out the deltas that follow <paramref name="applied"/> without a gap, and drops those at or before it.</summary>
    public List<IndexDelta> TakeNext(ulong applied)
    {
        var next = new List<IndexDelta>();
        while (_ahead.Count > 0 && _ahead.First() is var (sequence, delta) && sequence <= applied + 1)
        {
            _ahead.Remove(sequence);
            if (sequence <= applied) continue;
            next.Add(delta);
            applied = sequence;
        }

        return next;
    }
}
