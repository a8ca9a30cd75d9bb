using System.Runtime.CompilerServices;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Deltas;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// The live items of a shard, from any replica and without its actor: the rows of the newest snapshot that the log after it does not
/// touch, then what the log says last of the others. In memory are one file of the snapshot and 16 bytes for each item that
/// changed since. An item that changes while this runs comes as it was or as it is.
/// </summary>
internal sealed class CatalogueReader(DeltaLogReader log, SnapshotReader snapshots)
{
    /// <summary>Most items that may have changed since the newest snapshot.</summary>
    public const int ChangesMax = 1_000_000;

    private const int DeltasTogether = 1_000;

    /// <exception cref="InvalidDataException">The log was trimmed while it was read, or more changed than <see cref="ChangesMax"/>: ask again.</exception>
    /// <exception cref="SnapshotFormatException">A file of the snapshot is damaged, or was deleted while this ran.</exception>
    public async IAsyncEnumerable<Item> ReadAsync(uint shard, [EnumeratorCancellation] CancellationToken cancellation)
    {
        IndexLogHead head = await log.HeadAsync(shard, cancellation) ?? new IndexLogHead();
        SnapshotRef snapshot = head.Snapshots.FirstOrDefault() ?? new SnapshotRef();
        Dictionary<ulong, ulong> changed = await FindChangesAsync(shard, snapshot.Sequence, head.Sequence, cancellation);
        if (snapshot.Version.Length > 0)
        {
            SnapshotManifest manifest = await snapshots.ReadManifestAsync(shard, snapshot.Version, cancellation);
            await foreach (SnapshotRows rows in snapshots.ReadRowsAsync(manifest, cancellation))
            {
                for (int i = 0; i < rows.Count; i++)
                {
                    if (!changed.ContainsKey(StableHash.Compute(rows.ItemId(i)))) yield return rows.ToItemRow(i).Item;
                }
            }
        }

        await foreach (IndexDelta delta in DeltasAsync(shard, snapshot.Sequence, head.Sequence, cancellation))
        {
            if (delta.Upserted is { Item: var item } && changed[StableHash.Compute(item.ItemId)] == delta.Sequence) yield return item;
        }
    }

    // Which delta has the last word on an item, by the hash of its id.
    private async Task<Dictionary<ulong, ulong>> FindChangesAsync(uint shard, ulong after, ulong through, CancellationToken cancellation)
    {
        var changed = new Dictionary<ulong, ulong>();
        await foreach (IndexDelta delta in DeltasAsync(shard, after, through, cancellation))
        {
            string id = delta.Upserted?.Item.ItemId ?? delta.DeletedItemId;
            if (id.Length > 0) changed[StableHash.Compute(id)] = delta.Sequence;
            if (changed.Count > ChangesMax) throw new InvalidDataException($"More than {ChangesMax} items of shard {shard} changed since its newest snapshot. Make one first.");
        }

        return changed;
    }

    private async IAsyncEnumerable<IndexDelta> DeltasAsync(uint shard, ulong after, ulong through, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (after < through)
        {
            IndexDeltaBatch batch = await log.ReadAsync(shard, after, DeltasTogether, cancellation);
            if (batch.TruncatedLog || batch.Deltas.Count == 0) throw new InvalidDataException($"The log of shard {shard} was trimmed past {after} while it was read. Ask again.");
            foreach (IndexDelta delta in batch.Deltas.Where(delta => delta.Sequence <= through)) yield return delta;
            after = batch.Deltas[^1].Sequence;
        }
    }
}
