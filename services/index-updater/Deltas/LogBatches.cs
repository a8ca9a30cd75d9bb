using System.Runtime.CompilerServices;
using Mesh.Contracts.Storage;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>Reads stored batches by bulk get.</summary>
internal static class LogBatches
{
    // Eight batches of 256 KiB in one answer are half of what a sidecar passes on.
    private const int Together = 8;

    /// <summary>Batches first .. end - 1, in order.</summary>
    /// <exception cref="InvalidDataException">One of them is not in the store.</exception>
    public static async IAsyncEnumerable<IndexLogBatch> ReadAsync(
        IShardState state, LogKeys keys, ulong first, ulong end, [EnumeratorCancellation] CancellationToken cancellation)
    {
        for (ulong batch = first; batch < end; batch += Together)
        {
            int count = (int)Math.Min(Together, end - batch);
            string[] names = [.. Enumerable.Range(0, count).Select(i => keys.Batch(batch + (ulong)i))];
            IReadOnlyDictionary<string, byte[]> values = await state.GetBulkAsync(names, cancellation);
            foreach (string name in names)
            {
                if (!values.TryGetValue(name, out byte[]? bytes)) throw new InvalidDataException($"The log of shard {keys.Shard} lacks {name}.");
                yield return IndexLogBatch.Parser.ParseFrom(bytes);
            }
        }
    }
}
