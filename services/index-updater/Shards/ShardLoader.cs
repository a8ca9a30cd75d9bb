using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Encoders;
using Mesh.Inference;
using Mesh.Numerics;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Shards;

/// <summary>
/// Loads a shard: the newest readable snapshot, then every batch of the log after it. A damaged snapshot is passed over for
/// the one before: the log reaches back to that one.
/// </summary>
internal sealed class ShardLoader(uint shard, int shards, IShardState state, SnapshotReader snapshots, IItemModels models, ILogger logger)
{
    private readonly LogKeys _keys = new(shard);

    /// <exception cref="InvalidDataException">
    /// No snapshot can be read and the log does not reach back to its beginning, or it was written with another number of shards.
    /// </exception>
    public async Task<LoadedShard> LoadAsync(DeltaLog log, CancellationToken cancellation)
    {
        await log.OpenAsync(cancellation);
        if (log.Exists && _keys.FaultOf(log.Head, shards) is { } fault) throw new InvalidDataException(fault);
        if (!log.Exists) await AdoptLoneSnapshotAsync(log, cancellation);

        StoredSnapshot snapshot = await LoadSnapshotAsync(log.Head, cancellation);
        await foreach (IndexLogBatch batch in log.ReadAsync(snapshot.NextBatch, cancellation)) snapshot.Catalogue.Replay(batch);
        var loaded = new LoadedShard
        {
            Catalogue = snapshot.Catalogue,
            Window = await LoadWindowAsync(log.Head, cancellation),
            Model = FindModel(log.Head, snapshot),
            ItemsAtFit = snapshot.ItemsAtFit,
        };
        loaded.NeedsSnapshot = log.Head.ModelVersion.Length > 0 && log.Head.ModelVersion != loaded.Model.Version;
        TakeInOtherModels(loaded, snapshot);
        Log.ShardLoaded(logger, shard, loaded.Catalogue.Items, log.Head.Sequence, snapshot.Version, log.Head.NextBatch - snapshot.NextBatch, loaded.Model.Version);
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

    private async Task<StoredSnapshot> LoadSnapshotAsync(IndexLogHead head, CancellationToken cancellation)
    {
        foreach (SnapshotRef candidate in head.Snapshots.Where(candidate => candidate.NextBatch >= head.FirstBatch))
        {
            try
            {
                return await ReadSnapshotAsync(candidate, cancellation);
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

        return new StoredSnapshot("", "", 0, new ShardCatalogue(), null, 0);
    }

    private async Task<StoredSnapshot> ReadSnapshotAsync(SnapshotRef candidate, CancellationToken cancellation)
    {
        SnapshotManifest manifest = await snapshots.ReadManifestAsync(shard, candidate.Version, cancellation);
        var catalogue = new ShardCatalogue();
        long itemsAtFit = 0;
        await foreach (SnapshotRows rows in snapshots.ReadRowsAsync(manifest, cancellation))
        {
            for (int i = 0; i < rows.Count; i++)
            {
                ItemRow row = rows.ToItemRow(i);
                catalogue.Set(new CatalogueEntry { ItemId = row.Item.ItemId }.WithRow(row));
            }
        }

        await foreach (byte[] bytes in snapshots.ReadStateAsync(manifest, cancellation))
        {
            IndexSnapshotState part = IndexSnapshotState.Parser.ParseFrom(bytes);
            itemsAtFit = part.ItemsAtFit;
            foreach (RowState row in part.Rows) catalogue.Replay(row);
        }

        ResidualCodebooks? codebooks = await snapshots.ReadCodebooksAsync(manifest, cancellation);
        return new StoredSnapshot(candidate.Version, manifest.ModelVersion, candidate.NextBatch, catalogue, codebooks, itemsAtFit);
    }

    // The head says which model is live. Fitted codebooks lie in the snapshots alone: where the newest is damaged, those of the
    // one before are live again.
    private ItemModel FindModel(IndexLogHead head, StoredSnapshot snapshot)
    {
        string version = head.ModelVersion.Length > 0 ? head.ModelVersion : snapshot.ModelVersion;
        IItemEncoder encoder = version.Length == 0 ? models.Default : Open(ItemModel.EncoderOf(version), head.ChosenModel);
        return new ItemModel(encoder, ItemModel.EncoderOf(snapshot.ModelVersion) == encoder.ModelVersion ? snapshot.Codebooks : null);
    }

    private IItemEncoder Open(string version, ModelChoice? chosen)
    {
        if (models.Default.ModelVersion == version) return models.Default;
        try
        {
            return models.Open(version, chosen?.Version == version ? chosen.Path : "");
        }
        catch (ModelRejectedException exception)
        {
            // Items that come cannot wait for ever: the catalogue goes over to the model of the configuration at once.
            Log.LiveModelLost(logger, shard, version, models.Default.ModelVersion, exception);
            return models.Default;
        }
    }

    // After a snapshot of the live model the log may hold rows of the one before: they came while the snapshot was made, and a crash
    // kept them from being sent out again. Where the snapshot itself is of another model every row is encoded here and now, and
    // the next snapshot brings them to the replicas.
    private void TakeInOtherModels(LoadedShard loaded, StoredSnapshot snapshot)
    {
        CatalogueEntry[] others = [.. loaded.Catalogue.Entries.Where(entry => entry.IsLive && entry.ModelVersion != loaded.Model.Version)];
        if (others.Length == 0) return;
        if (snapshot.ModelVersion == loaded.Model.Version)
        {
            foreach (CatalogueEntry row in others) loaded.StaleRows.Enqueue(row.ItemId);
            return;
        }

        Log.EncoderChanged(logger, snapshot.Version, snapshot.ModelVersion, others.Length, loaded.Model.Version);
        foreach (CatalogueEntry row in loaded.Model.Encode(others)) loaded.Catalogue.Set(row);
        loaded.NeedsSnapshot = true;
    }

    private async Task<DedupeWindow> LoadWindowAsync(IndexLogHead head, CancellationToken cancellation)
    {
        var numbers = Enumerable.Range(0, DedupeWindow.Pages).ToDictionary(_keys.Events, page => page);
        IReadOnlyDictionary<string, byte[]> pages = await state.GetBulkAsync(numbers.Keys, cancellation);
        return DedupeWindow.Load(head.EventsSeen, pages.ToDictionary(page => numbers[page.Key], page => EventHashes.Parser.ParseFrom(page.Value)));
    }

    /// <summary>A snapshot as it lies in the binding; <c>Catalogue</c> takes the log after it.</summary>
    private sealed record StoredSnapshot(
        string Version, string ModelVersion, ulong NextBatch, ShardCatalogue Catalogue, ResidualCodebooks? Codebooks, long ItemsAtFit);
}
