using System.Text;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.Inference;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Tests;

public sealed class ModelSwitchTests : IAsyncDisposable
{
    private const long T = ShardRig.EpochMs;
    private readonly ShardRig _rig = new();
    private readonly FakeEncoder _a = new("model-a");
    private readonly FakeEncoder _b = new("model-b");

    public ModelSwitchTests()
    {
        _rig.Models.SetDefault(_a);
        _rig.Models.Add(_b);
    }

    public ValueTask DisposeAsync() => _rig.DisposeAsync();

    [Fact]
    public async Task Rows_are_of_the_configured_model_from_the_first_delta_and_the_snapshot_brings_its_tower_and_codebooks()
    {
        await FillAsync(20);
        string version = await _rig.SnapshotAsync(refit: true); // there is nothing to fit: the books are the model's

        Assert.All(_rig.Publisher.Deltas.Where(delta => delta.Upserted is not null), delta => AssertRow(_a, delta.Upserted));
        SnapshotManifest manifest = await _rig.Snapshots.ReadManifestAsync(0, version, default);
        Assert.Equal(("model-a", 2u, 16u), (manifest.ModelVersion, manifest.CodeLevels, manifest.CodesPerLevel));
        Assert.Equal(_a.Codebooks!.Centroids.ToArray(), (await _rig.Snapshots.ReadCodebooksAsync(manifest, default))!.Centroids.ToArray());
        Assert.Equal("graph of model-a", Encoding.UTF8.GetString((await _rig.Snapshots.ReadTowerAsync(manifest, default))!.Graph.Span));
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_change_goes_live_as_one_snapshot_and_until_then_the_model_before_serves_and_takes_what_comes()
    {
        await FillAsync(600);
        await _rig.SnapshotAsync();
        var late = new List<ItemRow?>();
        int batches = 0;
        _b.BeforeBatch = _ =>
        {
            if (batches++ != 1) return;
            // Half of the catalogue is encoded: one of it changes, one goes, one comes.
            _rig.ApplyAsync(_rig.Upsert("item-0", "other words", T + 9), _rig.Delete("item-1", T + 9), _rig.Upsert("new", "new words", T + 9)).Wait();
            late.Add(_rig.Writer.FindAsync("new", default).Result);
        };

        await GoLiveAsync("model-b", T + 1);

        AssertRow(_a, Assert.Single(late)!);
        IndexDelta notice = _rig.Publisher.Deltas.Last(delta => delta.Snapshot is not null);
        Assert.Equal("model-b", notice.Snapshot.ModelVersion);
        SnapshotManifest manifest = await _rig.Snapshots.ReadManifestAsync(0, notice.Snapshot.Version, default);
        Assert.Equal("graph of model-b", Encoding.UTF8.GetString((await _rig.Snapshots.ReadTowerAsync(manifest, default))!.Graph.Span));
        List<ItemRow> rows = await RowsAsync(manifest);
        Assert.Equal(600, rows.Count);
        Assert.Contains(rows, row => row.Item.ItemId == "new");
        Assert.All(rows, row => AssertRow(_b, row));
        Assert.Equal("model-b", (await _rig.HeadAsync()).ModelVersion);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task What_changes_while_the_snapshot_is_written_is_sent_again_after_the_notice_as_rows_of_the_new_model()
    {
        await FillAsync(30);
        await _rig.SnapshotAsync();
        _rig.Blobs.Gate = new TaskCompletionSource();
        var encoded = new TaskCompletionSource();
        _b.BeforeBatch = _ => encoded.TrySetResult();
        await _rig.Writer.ChangeModelAsync(_rig.ChangeModel("model-b", T + 1), default);
        await encoded.Task;
        while ((await _rig.HeadAsync()).SnapshotAttempt.Length == 0) await Task.Yield();
        await _rig.ApplyAsync(_rig.Upsert("new"), _rig.Upsert("item-3", "changed", T + 9));
        _rig.Blobs.Gate.SetResult();
        await _rig.Writer.SwitchDoneAsync();

        ulong notice = _rig.Publisher.Deltas.Last(delta => delta.Snapshot is not null).Sequence;
        ItemRow[] after = [.. _rig.Publisher.Deltas.Where(delta => delta.Sequence > notice).Select(delta => delta.Upserted)];
        Assert.Equal(["item-3", "new"], after.Select(row => row.Item.ItemId).Order());
        Assert.All(after, row => AssertRow(_b, row));
        Assert.All(_rig.Publisher.Deltas.Where(delta => delta.Sequence < notice && delta.Upserted is not null), delta => AssertRow(_a, delta.Upserted));
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_crash_in_the_middle_leaves_the_model_before_and_the_next_process_goes_on_to_the_chosen_one()
    {
        await FillAsync(600);
        await _rig.SnapshotAsync();
        var reached = new TaskCompletionSource();
        var crashed = new TaskCompletionSource();
        _b.BeforeBatch = count =>
        {
            if (count == 0) return;
            reached.TrySetResult();
            crashed.Task.Wait();
            throw new InvalidOperationException("The process ended within this batch."); // else it could end before the writer sees that it stops
        };
        await _rig.Writer.ChangeModelAsync(_rig.ChangeModel("model-b", T + 1), default);
        await reached.Task;
        Task restart = _rig.RestartAsync();
        crashed.SetResult();
        await restart;
        _b.BeforeBatch = static _ => { };

        AssertRow(_a, (await _rig.Writer.FindAsync("item-7", default))!);
        Assert.Equal(("model-a", "model-b"), ((await _rig.HeadAsync()).ModelVersion, (await _rig.HeadAsync()).ChosenModel.Version));
        await TickAsync();

        AssertRow(_b, (await _rig.Writer.FindAsync("item-7", default))!);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_restart_after_the_change_is_on_the_new_model_and_encodes_nothing_again()
    {
        await FillAsync(50);
        await GoLiveAsync("model-b", T + 1);
        int encoded = _b.Encoded;

        await _rig.RestartAsync();
        Assert.Equal(encoded, _b.Encoded);
        await _rig.ApplyAsync(_rig.Upsert("new"));
        await TickAsync();

        AssertRow(_b, (await _rig.Writer.FindAsync("new", default))!);
        AssertRow(_b, (await _rig.Writer.FindAsync("item-1", default))!);
        Assert.Equal(encoded + 1, _b.Encoded);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Going_back_is_the_same_message_with_the_earlier_version()
    {
        await FillAsync(20);
        ItemRow before = (await _rig.Writer.FindAsync("item-1", default))!;
        await GoLiveAsync("model-b", T + 1);
        await GoLiveAsync("model-a", T + 2);

        Assert.Equal(before, await _rig.Writer.FindAsync("item-1", default));
        await GoLiveAsync("hash64-1", T + 3);
        Assert.StartsWith("hash64-1+rq2x8-", (await _rig.Writer.FindAsync("item-1", default))!.ModelVersion, StringComparison.Ordinal);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task An_earlier_or_repeated_message_changes_nothing()
    {
        await FillAsync(5);
        ModelChange change = _rig.ChangeModel("model-b", T + 5);
        await _rig.Writer.ChangeModelAsync(change, default);
        await _rig.Writer.SwitchDoneAsync();
        await GoLiveAsync("model-a", T + 9);
        IndexLogHead head = await _rig.HeadAsync();

        await _rig.Writer.ChangeModelAsync(change, default);
        await GoLiveAsync("model-b", T + 8);

        Assert.Equal(head, await _rig.HeadAsync());
        Assert.Equal("model-a", head.ModelVersion);
    }

    [Fact]
    public async Task A_later_change_ends_one_that_is_under_way()
    {
        await FillAsync(600);
        var reached = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        var slow = new FakeEncoder("model-slow")
        {
            BeforeBatch = _ =>
            {
                reached.TrySetResult();
                goOn.Task.Wait();
            },
        };
        _rig.Models.Add(slow);
        await _rig.Writer.ChangeModelAsync(_rig.ChangeModel("model-slow", T + 1), default);
        await reached.Task;
        await _rig.Writer.ChangeModelAsync(_rig.ChangeModel("model-b", T + 2), default);
        goOn.SetResult();
        await _rig.Writer.SwitchDoneAsync();

        Assert.Equal(["model-b"], _rig.Publisher.Deltas.Where(delta => delta.Snapshot is not null).Select(delta => delta.Snapshot.ModelVersion));
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_model_that_cannot_be_opened_changes_nothing_and_one_that_is_gone_at_a_restart_is_waited_for()
    {
        await FillAsync(5);
        IndexLogHead head = await _rig.HeadAsync();
        await Assert.ThrowsAsync<ModelRejectedException>(() => _rig.Writer.ChangeModelAsync(_rig.ChangeModel("nowhere", T + 1), default));
        Assert.Equal(head, await _rig.HeadAsync());

        _rig.Blobs.FailAtWrite = 1; // the snapshot that would have brought it
        await GoLiveAsync("model-b", T + 2);
        _rig.Models.Remove("model-b");
        await _rig.RestartAsync();
        await TickAsync();
        AssertRow(_a, (await _rig.Writer.FindAsync("item-1", default))!);

        _rig.Models.Add(_b);
        await TickAsync();
        AssertRow(_b, (await _rig.Writer.FindAsync("item-1", default))!);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_try_that_fails_keeps_what_it_has_encoded_for_the_next()
    {
        await FillAsync(20);
        _rig.Blobs.FailAtWrite = 1;
        await GoLiveAsync("model-b", T + 1);
        Assert.Equal(("model-a", 20), ((await _rig.HeadAsync()).ModelVersion, _b.Encoded));
        await _rig.ApplyAsync(_rig.Upsert("item-3", "other words", T + 9), _rig.Delete("item-4", T + 9));

        await TickAsync();

        Assert.Equal(("model-b", 21), ((await _rig.HeadAsync()).ModelVersion, _b.Encoded)); // the one that changed
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Tries_that_fail_come_at_twice_the_distance_each_time_until_a_message_asks_for_one()
    {
        await FillAsync(5);
        int tries = 0;
        _b.BeforeBatch = _ => throw new InvalidOperationException($"It fails, time {++tries}.");
        await GoLiveAsync("model-b", T + 1);
        var triesByTick = new List<int>();
        for (int tick = 0; tick < 16; tick++)
        {
            await TickAsync();
            triesByTick.Add(tries);
        }

        Assert.Equal([2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5], triesByTick);
        await GoLiveAsync("model-b", T + 2);
        Assert.Equal(6, tries);
        _b.BeforeBatch = static _ => { };
        await GoLiveAsync("model-b", T + 3);
        AssertRow(_b, (await _rig.Writer.FindAsync("item-1", default))!);
    }

    [Fact]
    public async Task A_chosen_package_that_is_away_is_told_once_until_it_was_back()
    {
        const int ChosenModelRefused = 5012;
        await FillAsync(5);
        _b.BeforeBatch = _ => throw new InvalidOperationException("Not yet.");
        await GoLiveAsync("model-b", T + 1);
        _b.BeforeBatch = static _ => { };
        _rig.Models.Remove("model-b");

        for (int tick = 0; tick < 5; tick++) await TickAsync();
        string told = Assert.Single(_rig.Logs.Of(ChosenModelRefused));
        _rig.Models.Add(_b);
        await TickAsync();

        Assert.Contains("There is no model 'model-b'.", told, StringComparison.Ordinal);
        Assert.Equal("model-b", (await _rig.HeadAsync()).ModelVersion);
    }

    [Fact]
    public async Task A_live_model_that_is_gone_gives_way_to_the_configured_one_and_a_snapshot_says_so()
    {
        await FillAsync(20);
        await GoLiveAsync("model-b", T + 1);
        _rig.Models.Remove("model-b");

        await _rig.RestartAsync();
        await _rig.ApplyAsync(_rig.Upsert("new"));
        await TickAsync();

        AssertRow(_a, (await _rig.Writer.FindAsync("new", default))!);
        AssertRow(_a, (await _rig.Writer.FindAsync("item-1", default))!);
        Assert.Equal("model-a", _rig.Publisher.Deltas.Last(delta => delta.Snapshot is not null).Snapshot.ModelVersion);
        await _rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_changed_configuration_goes_live_on_a_tick_unless_a_message_has_chosen()
    {
        await FillAsync(20);
        await TickAsync();
        var c = new FakeEncoder("model-c");
        _rig.Models.SetDefault(c);
        await _rig.RestartAsync();
        AssertRow(_a, (await _rig.Writer.FindAsync("item-1", default))!);
        await TickAsync();
        AssertRow(c, (await _rig.Writer.FindAsync("item-1", default))!);

        await GoLiveAsync("model-b", T + 1);
        _rig.Models.SetDefault(_a);
        await _rig.RestartAsync();
        await TickAsync();
        AssertRow(_b, (await _rig.Writer.FindAsync("item-1", default))!);
    }

    [Fact]
    public async Task A_shard_whose_newest_snapshot_of_the_new_model_is_damaged_is_on_that_model_all_the_same()
    {
        await FillAsync(30);
        await _rig.SnapshotAsync();
        await GoLiveAsync("model-b", T + 1);
        await _rig.ApplyAsync(_rig.Upsert("new"));
        string live = ShardRig.Describe(_rig.Writer.LoadedForTesting!);
        _rig.Blobs.Damage(SnapshotNames.RowsFile(0, (await _rig.HeadAsync()).Snapshots[0].Version, 1));

        await _rig.RestartAsync();

        Assert.Equal(live, ShardRig.Describe(_rig.Writer.LoadedForTesting!));
    }

    private async Task FillAsync(int items)
    {
        foreach (int[] call in Enumerable.Range(0, items).Chunk(200))
        {
            await _rig.ApplyAsync([.. call.Select(i => _rig.Upsert($"item-{i}", $"words number {i} about topic{i % 7}"))]);
        }
    }

    private async Task GoLiveAsync(string version, long timeMs)
    {
        await _rig.Writer.ChangeModelAsync(_rig.ChangeModel(version, timeMs), default);
        await _rig.Writer.SwitchDoneAsync();
    }

    private async Task TickAsync()
    {
        await _rig.Writer.TickAsync(default);
        await _rig.Writer.SwitchDoneAsync();
        await _rig.Writer.SnapshotsDoneAsync();
    }

    private async Task<List<ItemRow>> RowsAsync(SnapshotManifest manifest)
    {
        var rows = new List<ItemRow>();
        await foreach (SnapshotRows part in _rig.Snapshots.ReadRowsAsync(manifest, default))
        {
            for (int i = 0; i < part.Count; i++) rows.Add(part.ToItemRow(i));
        }

        return rows;
    }

    private static void AssertRow(FakeEncoder encoder, ItemRow row)
    {
        EncodedItem expected = new FakeEncoder(encoder.ModelVersion).Encode([row.Item])[0];
        Assert.Equal(encoder.ModelVersion, row.ModelVersion);
        Assert.Equal(expected.Vector, row.Embedding);
        Assert.Equal(expected.Codes!.Select(code => (uint)code), row.Codes);
    }
}
