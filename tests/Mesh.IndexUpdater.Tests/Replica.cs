using Mesh.Contracts;
using Mesh.IndexUpdater.Deltas;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Tests;

/// <summary>
/// What a retrieval replica does with the deltas, in the plainest way: applies them in order, skips what it has and rows of
/// another model than its own, loads the newest snapshot on a notice that brings another model, and fails on a gap.
/// </summary>
internal sealed class Replica(SnapshotReader snapshots, DeltaLogReader log)
{
    private string _model = "";

    public SortedDictionary<string, ItemRow> Rows { get; } = new(StringComparer.Ordinal);

    public ulong Sequence { get; private set; }

    /// <summary>A fresh replica: newest snapshot, then the log.</summary>
    public async Task StartAsync(string snapshotVersion)
    {
        await LoadAsync(snapshotVersion);
        await CatchUpAsync();
    }

    public async Task ReceiveAsync(IndexDeltaBatch batch)
    {
        Assert.True(batch.FirstSequence <= Sequence + 1, $"Deltas {Sequence + 1} to {batch.FirstSequence - 1} are missing.");
        foreach (IndexDelta delta in batch.Deltas.Where(delta => delta.Sequence > Sequence)) await ApplyAsync(delta);
    }

    private async Task CatchUpAsync()
    {
        while (true)
        {
            IndexDeltaBatch answer = await log.ReadAsync(0, Sequence, deltasMax: 7, default);
            Assert.False(answer.TruncatedLog);
            if (answer.Deltas.Count == 0) return;
            foreach (IndexDelta delta in answer.Deltas.Where(delta => delta.Sequence > Sequence)) await ApplyAsync(delta);
        }
    }

    private async Task ApplyAsync(IndexDelta delta)
    {
        Assert.Equal(Sequence + 1, delta.Sequence);
        Sequence = delta.Sequence;
        switch (delta.DeltaCase)
        {
            case IndexDelta.DeltaOneofCase.Upserted when _model.Length > 0 && delta.Upserted.ModelVersion != _model:
                break; // the snapshot of that model brings it, or it was sent again before the notice
            case IndexDelta.DeltaOneofCase.Upserted:
                Assert.Equal(delta.Sequence, delta.Upserted.Version);
                Rows[delta.Upserted.Item.ItemId] = delta.Upserted.Clone();
                break;
            case IndexDelta.DeltaOneofCase.DeletedItemId:
                Rows.Remove(delta.DeletedItemId);
                break;
            case IndexDelta.DeltaOneofCase.Engagement when Rows.ContainsKey(delta.Engagement.ItemId):
                Rows[delta.Engagement.ItemId].Counters = delta.Engagement.Counters;
                Rows[delta.Engagement.ItemId].Version = delta.Sequence;
                break;
            case IndexDelta.DeltaOneofCase.Eligibility when Rows.ContainsKey(delta.Eligibility.ItemId):
                Rows[delta.Eligibility.ItemId].Eligibility = delta.Eligibility.Eligibility;
                Rows[delta.Eligibility.ItemId].Version = delta.Sequence;
                break;
            case IndexDelta.DeltaOneofCase.Snapshot when delta.Snapshot.ModelVersion != _model:
                ulong reached = Sequence;
                await LoadAsync((await log.HeadAsync(0, default))!.Snapshots[0].Version);
                while (Sequence < reached) await ApplyFromLogAsync(reached);
                break;
            default:
                break;
        }
    }

    private async Task ApplyFromLogAsync(ulong through)
    {
        IndexDeltaBatch answer = await log.ReadAsync(0, Sequence, (int)(through - Sequence), default);
        Assert.NotEmpty(answer.Deltas);
        foreach (IndexDelta delta in answer.Deltas.Where(delta => delta.Sequence > Sequence)) await ApplyAsync(delta);
    }

    private async Task LoadAsync(string version)
    {
        SnapshotManifest manifest = await snapshots.ReadManifestAsync(0, version, default);
        Rows.Clear();
        await foreach (SnapshotRows part in snapshots.ReadRowsAsync(manifest, default))
        {
            for (int i = 0; i < part.Count; i++) Rows[part.ItemId(i)] = part.ToItemRow(i); // each of the manifest's model: the writer refuses others
        }

        (Sequence, _model) = (manifest.Sequence, manifest.ModelVersion);
    }
}
