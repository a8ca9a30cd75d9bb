using System.Runtime.InteropServices;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Loads a shard: the newest readable snapshot, then every batch of the log after it. A damaged snapshot is passed over for
/// the one before: the log reaches back to that one.
/// </summary>
internal sealed class ShardLoader(uint shard, IShardState state, SnapshotReader snapshots, IItemEncoder encoder, ILogger logger)
{
    private readonly LogKeys _keys = new(shard);

    /// <exception cref="InvalidDataException">No snapshot can be read and the log does not reach back to its beginning.</exception>
    public async Task<LoadedShard> LoadAsync(DeltaLog log, CancellationToken cancellation)
    {
        await log.OpenAsync(cancellation);
        if (!log.Exists) await AdoptLoneSnapshotAsync(log, cancellation);

        (LoadedShard loaded, ulong nextBatch, string version) = await LoadSnapshotAsync(log.Head, cancellation);
        await foreach (IndexLogBatch batch in log.ReadAsync(nextBatch, cancellation)) loaded.Catalogue.Replay(batch);
        if (log.Head.ModelVersion.Length > 0 && ModelVersions.EncoderOf(loaded.ModelVersion) != encoder.ModelVersion) EncodeAgain(loaded, version);
        FindStaleCodes(loaded);
        Log.ShardLoaded(logger, shard, loaded.Catalogue.Items, log.Head.Sequence, version, log.Head.NextBatch - nextBatch);
        return loaded;
    }

    // The state store was emptied, the snapshots were not: go on from there. Sequence numbers must not start again at 1, as
    // replicas that hold later ones would take new deltas for old.
    private async Task AdoptLoneSnapshotAsync(DeltaLog log, CancellationToken cancellation)
    {
        SnapshotManifest? latest = await snapshots.ReadLatestAsync(shard, cancellation);
        if (latest is null) return;

        Log.LogLost(logger, shard, latest.Version, latest.Sequence);
        await log.StoreAsync(
            [],
            new Dictionary<string, byte[]>(),
            head =>
            {
                head.Sequence = head.PublishedThrough = head.TrimmedThrough = latest.Sequence;
                head.Snapshots.Add(new SnapshotRef { Version = latest.Version, Sequence = latest.Sequence });
                head.Items = latest.Items;
                head.ModelVersion = latest.ModelVersion;
            },
            cancellation);
    }

    private async Task<(LoadedShard Loaded, ulong NextBatch, string Version)> LoadSnapshotAsync(IndexLogHead head, CancellationToken cancellation)
    {
        DedupeWindow window = await LoadWindowAsync(head, cancellation);
        foreach (SnapshotRef candidate in head.Snapshots.Where(candidate => candidate.NextBatch >= head.FirstBatch))
        {
            try
            {
                return (await ReadSnapshotAsync(candidate, window, cancellation), candidate.NextBatch, candidate.Version);
            }
            catch (SnapshotFormatException exception)
            {
                Log.SnapshotUnreadable(logger, candidate.Version, shard, exception);
            }
        }

        if (head.FirstBatch > 0 || head.Snapshots.Any(snapshot => snapshot.NextBatch == 0 && snapshot.Sequence > 0))
        {
            throw new InvalidDataException(
                $"Shard {shard} cannot be loaded: none of its snapshots ({string.Join(", ", head.Snapshots.Select(snapshot => snapshot.Version))}) can be read, "
                + $"and its log begins after sequence {head.TrimmedThrough}. Restore the snapshots binding, or delete the shard's state and import the items again.");
        }

        return (Empty(window), 0, "");
    }

    private LoadedShard Empty(DedupeWindow window) => new() { Catalogue = new ShardCatalogue(), Window = window, ModelVersion = encoder.ModelVersion };

    private async Task<LoadedShard> ReadSnapshotAsync(SnapshotRef candidate, DedupeWindow window, CancellationToken cancellation)
    {
        SnapshotManifest manifest = await snapshots.ReadManifestAsync(shard, candidate.Version, cancellation);
        LoadedShard loaded = Empty(window);
        await foreach (SnapshotRows rows in snapshots.ReadRowsAsync(manifest, cancellation))
        {
            for (int i = 0; i < rows.Count; i++)
            {
                ItemRow row = rows.ToItemRow(i);
                loaded.Catalogue.Set(new CatalogueEntry { ItemId = row.Item.ItemId }.WithRow(row));
            }
        }

        await foreach (byte[] bytes in snapshots.ReadStateAsync(manifest, cancellation))
        {
            IndexSnapshotState part = IndexSnapshotState.Parser.ParseFrom(bytes);
            loaded.ItemsAtFit = part.ItemsAtFit;
            foreach (RowState row in part.Rows) loaded.Catalogue.Replay(row);
        }

        loaded.Codebooks = await snapshots.ReadCodebooksAsync(manifest, cancellation);
        loaded.ModelVersion = manifest.ModelVersion;
        return loaded;
    }

    // Vectors of two encoders cannot be compared. Codebooks of the old one are left behind: the next snapshot fits new ones.
    private void EncodeAgain(LoadedShard loaded, string version)
    {
        CatalogueEntry[] rows = [.. loaded.Catalogue.Entries.Where(entry => entry.IsLive)];
        Log.EncoderChanged(logger, version, loaded.ModelVersion, rows.Length, encoder.ModelVersion);
        foreach (CatalogueEntry row in rows)
        {
            ByteString embedding = ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(encoder.Encode(row.Item!)));
            loaded.Catalogue.Set(row with { Embedding = embedding, Codes = null });
        }

        loaded.Codebooks = null;
        loaded.ModelVersion = encoder.ModelVersion;
    }

    private async Task<DedupeWindow> LoadWindowAsync(IndexLogHead head, CancellationToken cancellation)
    {
        var numbers = Enumerable.Range(0, DedupeWindow.Pages).ToDictionary(_keys.Events, page => page);
        IReadOnlyDictionary<string, byte[]> pages = await state.GetBulkAsync(numbers.Keys, cancellation);
        return DedupeWindow.Load(head.EventsSeen, pages.ToDictionary(page => numbers[page.Key], page => EventHashes.Parser.ParseFrom(page.Value)));
    }

    // Rows that arrived while new codebooks were fitted are sent out again with their codes after the snapshot. A crash in
    // the middle of that shows here, as codes that the codebooks do not give.
    private static void FindStaleCodes(LoadedShard loaded)
    {
        if (loaded.Codebooks is not { } codebooks) return;

        var codes = new ushort[codebooks.Levels];
        foreach (CatalogueEntry row in loaded.Catalogue.Entries.Where(entry => entry.IsLive))
        {
            codebooks.Encode(MemoryMarshal.Cast<byte, float>(row.Embedding.Span), codes);
            if (row.Codes is null || !row.Codes.AsSpan().SequenceEqual(codes)) loaded.StaleCodes.Enqueue(row.ItemId);
        }
    }
}
