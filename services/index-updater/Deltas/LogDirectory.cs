using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>Finds the batch that holds a sequence number: binary search over the head's pages, then over one page.</summary>
internal static class LogDirectory
{
    /// <summary>Number of the batch with this delta, which must be in the log and not trimmed.</summary>
    public static async Task<ulong> BatchOfAsync(IShardState state, LogKeys keys, IndexLogHead head, ulong sequence, CancellationToken cancellation)
    {
        int page = LastAtOrBefore(head.PageFirstSequences, sequence);
        // Pages are deleted with the batches on them, so the first that the head names is that of the first batch not deleted.
        ulong number = (head.DeletedBatches / LogKeys.PageBatches) + (ulong)Math.Max(0, page);
        (byte[]? bytes, _) = await state.GetAsync(keys.Page(number), cancellation);
        if (bytes is null) throw new InvalidDataException($"The log of shard {keys.Shard} lacks directory page {number}.");

        IndexLogPage directory = IndexLogPage.Parser.ParseFrom(bytes);
        return (number * LogKeys.PageBatches) + (ulong)Math.Max(0, LastAtOrBefore(directory.FirstSequences, sequence));
    }

    // Batches of states alone have the first sequence of the batch after them: of equal ones the last holds the delta.
    private static int LastAtOrBefore(Google.Protobuf.Collections.RepeatedField<ulong> ascending, ulong sequence)
    {
        int low = 0;
        int high = ascending.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (ascending[middle] <= sequence) low = middle + 1;
            else high = middle;
        }

        return low - 1;
    }
}
