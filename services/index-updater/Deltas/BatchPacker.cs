using Mesh.Contracts;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>
/// Cuts the deltas and states of a turn into batches of at most 256 KiB of protobuf. Published, a batch is JSON: counters
/// grow about threefold there, so that 256 KiB stay under 1 MiB, a quarter of what a sidecar takes.
/// </summary>
internal static class BatchPacker
{
    public const int BatchBytesMax = 256 * 1024;

    /// <summary>States come after all deltas: each is the last word on its item, whatever the deltas before it did.</summary>
    public static List<IndexLogBatch> Pack(ulong headSequence, IReadOnlyList<IndexDelta> deltas, IReadOnlyList<RowState> states)
    {
        var batches = new List<IndexLogBatch>();
        IndexLogBatch? current = null;
        int bytes = 0;
        ulong next = headSequence + 1;
        foreach (IndexDelta delta in deltas)
        {
            Room(delta.CalculateSize()).Deltas.Add(delta);
            next++;
        }

        foreach (RowState state in states) Room(state.CalculateSize()).States.Add(state);
        return batches;

        IndexLogBatch Room(int size)
        {
            if (current is null || bytes + size > BatchBytesMax)
            {
                batches.Add(current = new IndexLogBatch { FirstSequence = next });
                bytes = 0;
            }

            bytes += size + 4;
            return current;
        }
    }
}
