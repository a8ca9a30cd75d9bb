using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;

namespace Mesh.IndexUpdater.Tests;

/// <summary>
/// Random lives of a shard: changes late, twice and out of order, stores and brokers that fail before and after the deed,
/// restarts, snapshots and models that go live in between. After each, three things must agree: what is in memory, what a restart loads, and what
/// a replica made of the published deltas; and all must agree with a plain model.
/// </summary>
public sealed class ShardPropertyTests
{
    private const long T = ShardRig.EpochMs;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task Memory_log_snapshots_replica_and_model_agree(int seed)
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { CodesPerLevel = 4, CodeLevels = 2, OrphansMax = 1_000, RefitGrowth = 3 });
        var random = new Random(seed);
        var model = new Model();
        var replica = new Replica(rig.Snapshots, rig.Log);
        int received = 0;
        var past = new List<Func<Task>>();
        foreach (string version in Models) rig.Models.Add(new FakeEncoder(version));
        for (int step = 0; step < 250; step++)
        {
            Fail(rig, random);
            switch (random.Next(14))
            {
                case 0: await EventuallyAsync(rig.RestartAsync); break;
                case 1: await EventuallyAsync(() => rig.SnapshotAsync(refit: random.Next(3) == 0)); break;
                case 3: await ChangeDuringSnapshotAsync(rig, random, model); break;
                case 4: past.Add(await ChangeModelAsync(rig, random, step)); break;
                case 5: await EventuallyAsync(() => rig.Writer.TickAsync(default)); break;
                case 2 when past.Count > 0: await EventuallyAsync(past[random.Next(past.Count)]); break; // delivered again
                default: past.Add(await ChangeAsync(rig, random, model)); break;
            }

            await rig.Writer.SnapshotsDoneAsync();
            for (; received < rig.Publisher.Batches.Count; received++)
            {
                await replica.ReceiveAsync(rig.Publisher.Batches[received]);
            }
        }

        (rig.State.FailBefore, rig.State.FailAfter, rig.Publisher.FailBefore, rig.Publisher.FailAfter, rig.Blobs.FailAtWrite) = (0, 0, 0, 0, 0);
        string chosen = random.GetItems(Models, 1)[0];
        await rig.Writer.ChangeModelAsync(rig.ChangeModel(chosen, T + 1_000), default);
        await rig.Writer.SwitchDoneAsync();
        await rig.Writer.SnapshotsDoneAsync();
        await rig.Writer.OpenAsync(default);
        foreach (IndexDeltaBatch batch in rig.Publisher.Batches.Skip(received)) await replica.ReceiveAsync(batch);
        LoadedShard shard = await rig.AssertDurableAsync();
        Assert.Equal(chosen, shard.Model.Version);
        Assert.InRange(rig.Publisher.Deltas.Where(delta => delta.Snapshot is not null).Select(delta => delta.Snapshot.ModelVersion).Distinct().Count(), 2, 1_000);
        await AssertReplicasAsync(rig, shard, replica);
        model.AssertSame(shard.Catalogue);
    }

    private static readonly string[] Models = ["model-a", "model-b"];

    // Going back to hashing too: books are then fitted again. Half of the time what follows comes while the catalogue is encoded.
    private static async Task<Func<Task>> ChangeModelAsync(ShardRig rig, Random random, int step)
    {
        ModelChange change = rig.ChangeModel(random.GetItems([.. Models, "hash64-1"], 1)[0], T + step);
        Func<Task> deed = () => rig.Writer.ChangeModelAsync(change, default);
        await EventuallyAsync(deed);
        if (random.Next(2) == 0) await rig.Writer.SwitchDoneAsync();
        return deed;
    }

    private static async Task ChangeDuringSnapshotAsync(ShardRig rig, Random random, Model model)
    {
        rig.Blobs.Gate = new TaskCompletionSource();
        await EventuallyAsync(() => rig.Writer.BeginSnapshotAsync(refit: random.Next(2) == 0, default));
        for (int i = random.Next(5); i > 0; i--) await ChangeAsync(rig, random, model);
        rig.Blobs.Gate.SetResult();
        rig.Blobs.Gate = null;
    }

    private static void Fail(ShardRig rig, Random random)
    {
        switch (random.Next(12))
        {
            case 0: rig.State.FailBefore = random.Next(1, 3); break;
            case 1: rig.State.FailAfter = 1; break;
            case 2: rig.Publisher.FailBefore = random.Next(1, 3); break;
            case 3: rig.Publisher.FailAfter = 1; break;
            case 4: rig.Blobs.FailAtWrite = random.Next(1, 6); break;
            default: break;
        }
    }

    // What a broker does: again, until it is done.
    private static async Task EventuallyAsync(Func<Task> deed)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await deed();
                return;
            }
            catch (IOException) when (attempt < 20)
            {
                // Delivered again.
            }
        }
    }

    private static async Task<Func<Task>> ChangeAsync(ShardRig rig, Random random, Model model)
    {
        long time = T + random.Next(1_000);
        string Id() => $"item-{random.Next(40)}";
        Func<Task> deed;
        switch (random.Next(6))
        {
            case 0:
                ItemChange deleted = rig.Delete(Id(), time);
                model.Apply(deleted);
                deed = () => rig.ApplyAsync(deleted);
                break;
            case 1:
                EligibilityChange patch = rig.Hide(Id(), random.Next(2) == 0, time);
                if (random.Next(2) == 0)
                {
                    patch.Fields.Add("safety");
                    patch.Eligibility.Safety = $"level-{random.Next(5)}";
                }

                model.Apply(patch);
                deed = () => rig.ApplyAsync(patch);
                break;
            case 2 or 3:
                CounterEvent[] counts = [.. Enumerable.Range(0, random.Next(1, 8)).Select(_ => rig.Count(random.Next(15), time, [.. new[] { Id(), Id() }.Distinct()]))];
                deed = () => rig.ApplyAsync(counts);
                break;
            default:
                ItemChange[] upserts = [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => rig.Upsert(Id(), $"text {random.Next(100)} {random.Next(100)}", T + random.Next(1_000)))];
                foreach (ItemChange upsert in upserts) model.Apply(upsert);
                deed = () => rig.ApplyAsync(upserts);
                break;
        }

        await EventuallyAsync(deed);
        return deed;
    }

    private static async Task AssertReplicasAsync(ShardRig rig, LoadedShard shard, Replica replica)
    {
        CatalogueEntry[] entries = [.. shard.Catalogue.Entries.Where(entry => entry.IsLive)];
        foreach ((CatalogueEntry entry, EncodedItem encoded) in entries.Zip(shard.Model.Encode([.. entries.Select(entry => entry.Item!)])))
        {
            Assert.Equal((shard.Model.Version, encoded.Vector), (entry.ModelVersion, entry.Embedding));
            Assert.Equal(encoded.Codes, entry.Codes);
        }

        ItemRow[] live = [.. entries.Select(entry => entry.ToRow()).OrderBy(row => row.Item.ItemId, StringComparer.Ordinal)];
        AssertSameRows(live, replica.Rows.Values);
        foreach (SnapshotRef snapshot in (await rig.HeadAsync()).Snapshots.Take(2))
        {
            var fresh = new Replica(rig.Snapshots, rig.Log);
            await fresh.StartAsync(snapshot.Version);
            AssertSameRows(live, fresh.Rows.Values);
        }
    }

    private static void AssertSameRows(IReadOnlyList<ItemRow> expected, IReadOnlyCollection<ItemRow> actual)
    {
        Assert.Equal(expected.Select(row => row.Item.ItemId), actual.Select(row => row.Item.ItemId));
        foreach ((ItemRow live, ItemRow replicated) in expected.Zip(actual)) Assert.Equal(live, replicated);
    }

    /// <summary>The plain truth of items and eligibility: of each the change with the highest (time, event) stands.</summary>
    private sealed class Model
    {
        private readonly Dictionary<string, (Stamp Stamp, Item? Item)> _items = [];
        private readonly Dictionary<(string Id, string Field), (Stamp Stamp, string Value)> _eligibility = [];

        public void Apply(ItemChange change)
        {
            string id = change.Upserted?.ItemId ?? change.DeletedItemId;
            Stamp stamp = Stamp.Of(change.TimeMs, change.EventId);
            if (!_items.TryGetValue(id, out var known) || stamp > known.Stamp) _items[id] = (stamp, change.Upserted);
        }

        public void Apply(EligibilityChange change)
        {
            Stamp stamp = Stamp.Of(change.TimeMs, change.EventId);
            foreach (string field in change.Fields)
            {
                string value = field == "hidden" ? change.Eligibility.Hidden.ToString() : change.Eligibility.Safety;
                if (!_eligibility.TryGetValue((change.ItemId, field), out var known) || stamp > known.Stamp) _eligibility[(change.ItemId, field)] = (stamp, value);
            }
        }

        public void AssertSame(ShardCatalogue catalogue)
        {
            Assert.Equal(_items.Count(item => item.Value.Item is not null), catalogue.Items);
            foreach ((string id, (Stamp _, Item? item)) in _items) Assert.Equal(item, catalogue.Find(id)!.Item);
            foreach (((string id, string field), (Stamp _, string value)) in _eligibility)
            {
                Eligibility eligibility = catalogue.Find(id)!.Eligibility!;
                Assert.Equal(value, field == "hidden" ? eligibility.Hidden.ToString() : eligibility.Safety);
            }
        }
    }
}
