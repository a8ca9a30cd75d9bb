using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Encoders;
using Mesh.IndexUpdater.Shards;
using Mesh.Snapshots;

namespace Mesh.IndexUpdater.Tests;

public sealed class ShardSnapshotTests
{
    private const long T = ShardRig.EpochMs;

    [Fact]
    public async Task A_snapshot_holds_exactly_the_catalogue_and_a_notice_follows_in_the_log()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 60);

        string version = await rig.SnapshotAsync();

        SnapshotManifest manifest = await rig.Snapshots.ReadManifestAsync(0, version, default);
        Assert.Equal((60, 61ul, 64u, 2u, 8u), (manifest.Items, manifest.Sequence, manifest.Dimensions, manifest.CodeLevels, manifest.CodesPerLevel));
        Assert.Equal(72, manifest.CounterHalfLifeHours);
        foreach (ItemRow row in await RowsAsync(rig, manifest)) Assert.Equal(await rig.Writer.FindAsync(row.Item.ItemId, default), row);
        IndexDelta notice = rig.Publisher.Deltas.Last();
        Assert.Equal((version, 61ul, 62ul), (notice.Snapshot.Version, notice.Snapshot.Sequence, notice.Sequence));
        Assert.Equal(manifest.ModelVersion, notice.Snapshot.ModelVersion);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Codebooks_are_fitted_by_the_first_snapshot_and_used_at_once_for_items_that_come_later()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 60);
        Assert.Empty((await rig.Writer.FindAsync("item-1", default))!.Codes);

        string first = await rig.SnapshotAsync();
        await rig.ApplyAsync(rig.Upsert("later"));
        string second = await rig.SnapshotAsync();

        Assert.Equal(2, (await rig.Writer.FindAsync("item-1", default))!.Codes.Count);
        Assert.Equal(2, (await rig.Writer.FindAsync("later", default))!.Codes.Count);
        Assert.Equal(await ModelAsync(rig, first), await ModelAsync(rig, second));
        Assert.StartsWith("hash64-1+rq2x8-", await ModelAsync(rig, first), StringComparison.Ordinal);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Refit_makes_other_codebooks_and_every_row_has_their_codes()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        string first = await rig.SnapshotAsync();
        await FillAsync(rig, 90);

        string second = await rig.SnapshotAsync(refit: true);

        Assert.NotEqual(await ModelAsync(rig, first), await ModelAsync(rig, second));
        await rig.AssertDurableAsync(); // which checks each row's codes against the codebooks
    }

    [Fact]
    public async Task Codebooks_are_fitted_again_when_the_catalogue_has_outgrown_them()
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { CodesPerLevel = 8, CodeLevels = 2, RefitGrowth = 4 });
        await FillAsync(rig, 10);
        string first = await rig.SnapshotAsync();
        await FillAsync(rig, 39);
        string second = await rig.SnapshotAsync();
        await FillAsync(rig, 40);
        string third = await rig.SnapshotAsync();

        Assert.Equal(await ModelAsync(rig, first), await ModelAsync(rig, second));
        Assert.NotEqual(await ModelAsync(rig, second), await ModelAsync(rig, third));
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Events_are_taken_in_while_a_snapshot_is_written_and_its_rows_are_sent_again_with_codes()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 40);
        rig.Blobs.Gate = new TaskCompletionSource();
        string version = await rig.Writer.BeginSnapshotAsync(false, default);
        await rig.ApplyAsync(rig.Upsert("new"), rig.Upsert("item-1", "changed", T + 1));
        await rig.ApplyAsync(rig.Count(0, T, "item-2"));
        Assert.Equal(version, await rig.Writer.BeginSnapshotAsync(false, default)); // one at a time
        rig.Blobs.Gate.SetResult();
        await rig.Writer.SnapshotsDoneAsync();

        Dictionary<string, ItemRow> captured = (await RowsAsync(rig, await rig.Snapshots.ReadManifestAsync(0, version, default))).ToDictionary(row => row.Item.ItemId);

        Assert.False(captured.ContainsKey("new"));
        Assert.NotEqual("changed", captured["item-1"].Item.Text);
        ulong notice = rig.Publisher.Deltas.Single(delta => delta.Snapshot is not null).Sequence;
        Assert.Equal(["item-1", "new"], rig.Publisher.Deltas.Where(delta => delta.Sequence > notice).Select(delta => delta.Upserted.Item.ItemId).Order());
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Rows_with_long_texts_are_sent_again_in_transactions_that_a_sidecar_takes()
    {
        const int ItemsInOneCall = 70; // about 1 MiB, the most that one call brings
        await using var rig = new ShardRig();
        await FillAsync(rig, 10);
        rig.Blobs.Gate = new TaskCompletionSource();
        await rig.Writer.BeginSnapshotAsync(false, default);
        string text = new('\u6f22', Limits.TextLengthMax);
        for (int call = 0; call < 7; call++)
        {
            await rig.ApplyAsync([.. Enumerable.Range(0, ItemsInOneCall).Select(i => rig.Upsert($"long-{call}-{i}", text))]);
        }

        rig.Blobs.Gate.SetResult();
        await rig.Writer.SnapshotsDoneAsync();

        Assert.InRange(rig.State.LargestTransaction, 1, 2 * 1024 * 1024); // half of what a sidecar takes
        await rig.AssertDurableAsync();                                   // which checks that every row was sent
    }

    [Fact]
    public async Task A_tick_makes_the_first_snapshot_as_soon_as_there_are_items_and_skips_while_nothing_changes()
    {
        await using var rig = new ShardRig();
        await TickAsync(rig);
        Assert.Empty((await rig.HeadAsync()).Snapshots);

        await FillAsync(rig, 5);
        await TickAsync(rig);
        await TickAsync(rig);
        Assert.Single((await rig.HeadAsync()).Snapshots);
        await rig.RestartAsync();
        await TickAsync(rig);
        Assert.Single((await rig.HeadAsync()).Snapshots);

        await rig.ApplyAsync(rig.Count(0, T, "item-1"));
        await TickAsync(rig);
        Assert.Equal(2, (await rig.HeadAsync()).Snapshots.Count);
    }

    [Fact]
    public async Task The_log_goes_back_to_the_snapshot_before_the_newest_and_a_reader_from_further_back_is_told_so()
    {
        await using var rig = new ShardRig();
        for (int round = 0; round < 4; round++)
        {
            await rig.ApplyAsync(rig.Upsert($"item-{round}"));
            await rig.SnapshotAsync();
        }

        IndexLogHead head = await rig.HeadAsync();
        ulong before = head.Snapshots[1].Sequence;

        Assert.Equal(3, head.Snapshots.Count);
        Assert.Equal(before, head.TrimmedThrough);
        IndexDeltaBatch whole = await rig.Log.ReadAsync(0, before, 100, default);
        Assert.False(whole.TruncatedLog);
        Assert.Equal(Enumerable.Range((int)before + 1, (int)(head.Sequence - before)), whole.Deltas.Select(delta => (int)delta.Sequence));
        Assert.True((await rig.Log.ReadAsync(0, before - 1, 100, default)).TruncatedLog);
        Assert.True((await rig.Log.ReadAsync(0, 0, 100, default)).TruncatedLog);
        Assert.Equal(head.Snapshots.Select(snapshot => snapshot.Version), await rig.Snapshots.ReadVersionsAsync(0, default));
    }

    [Fact]
    public async Task Folded_batches_and_their_directory_are_deleted_from_the_store()
    {
        await using var rig = new ShardRig();
        for (int i = 0; i < 600; i++) await rig.ApplyAsync(rig.Upsert($"item-{i % 50}", $"text {i}", T + i));
        await rig.SnapshotAsync();
        await rig.SnapshotAsync();
        for (int i = 0; i < 40; i++) await rig.ApplyAsync(rig.Upsert($"more-{i}"));

        Assert.InRange(rig.State.Keys.Count(key => key.Contains(":b:", StringComparison.Ordinal)), 40, 60);
        Assert.InRange(rig.State.Keys.Count(key => key.Contains(":p:", StringComparison.Ordinal)), 1, 2);
        Assert.Single((await rig.HeadAsync()).PageFirstSequences);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_damaged_snapshot_is_passed_over_for_the_one_before_and_nothing_is_lost()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        await rig.SnapshotAsync();
        await FillAsync(rig, 40);
        string newest = await rig.SnapshotAsync();
        await FillAsync(rig, 45);
        string live = ShardRig.Describe(rig.Writer.LoadedForTesting!);
        rig.Blobs.Damage(SnapshotNames.RowsFile(0, newest, 1));

        await rig.RestartAsync();

        Assert.Equal(live, ShardRig.Describe(rig.Writer.LoadedForTesting!));
    }

    [Fact]
    public async Task With_no_readable_snapshot_and_a_trimmed_log_the_shard_refuses_to_start_and_says_what_to_do()
    {
        await using var rig = new ShardRig();
        for (int round = 0; round < 2; round++)
        {
            await rig.ApplyAsync(rig.Upsert($"item-{round}"));
            rig.Blobs.Damage(SnapshotNames.RowsFile(0, await rig.SnapshotAsync(), 1));
        }

        InvalidDataException refused = await Assert.ThrowsAsync<InvalidDataException>(rig.RestartAsync);

        Assert.Contains("Restore the snapshots binding", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_lost_state_store_is_rebuilt_from_the_snapshot_and_numbers_go_on()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        await rig.SnapshotAsync();
        rig.State.Clear();

        await rig.RestartAsync();
        await rig.ApplyAsync(rig.Upsert("new"));

        Assert.Equal(31, rig.Writer.LoadedForTesting!.Catalogue.Items);
        Assert.Equal(32ul, rig.Publisher.Deltas.Last().Sequence);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_snapshot_that_fails_leaves_the_one_before_and_its_files_are_gone_after_the_next()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        string good = await rig.SnapshotAsync();
        await FillAsync(rig, 35);
        rig.Blobs.FailAtWrite = 3;
        string failed = await rig.SnapshotAsync();

        Assert.Equal(failed, (await rig.HeadAsync()).SnapshotFailed);
        Assert.Equal(good, (await rig.HeadAsync()).Snapshots[0].Version);
        Assert.Contains(rig.Blobs.Names, name => name.Contains(failed, StringComparison.Ordinal));
        await rig.RestartAsync();
        string next = await rig.SnapshotAsync();

        Assert.Equal([next, good], (await rig.HeadAsync()).Snapshots.Select(snapshot => snapshot.Version));
        Assert.DoesNotContain(rig.Blobs.Names, name => name.Contains(failed, StringComparison.Ordinal));
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Snapshots_that_are_written_and_never_adopted_do_not_push_out_the_ones_that_are_in_use()
    {
        await using var rig = new ShardRig();
        for (int round = 0; round < 3; round++)
        {
            await rig.ApplyAsync(rig.Upsert($"item-{round}"));
            await rig.SnapshotAsync();
        }

        for (int attempt = 0; attempt < SnapshotWriter.VersionsKept + 1; attempt++)
        {
            rig.Blobs.Gate = new TaskCompletionSource();
            await rig.Writer.BeginSnapshotAsync(false, default);
            rig.State.FailBefore = 1; // the transaction that would adopt it
            rig.Blobs.Gate.SetResult();
            await rig.Writer.SnapshotsDoneAsync();
        }

        await rig.RestartAsync();

        Assert.NotNull(await rig.Writer.FindAsync("item-0", default));
        Assert.NotNull(await rig.Snapshots.ReadLatestAsync(0, default));
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_crash_between_the_files_of_a_snapshot_and_its_publication_changes_nothing()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        rig.Blobs.Gate = new TaskCompletionSource();
        await rig.Writer.BeginSnapshotAsync(false, default);
        rig.State.FailBefore = 2; // the adoption, then the note that it failed
        rig.Blobs.Gate.SetResult();
        await rig.Writer.SnapshotsDoneAsync();
        await rig.RestartAsync();

        Assert.Empty((await rig.HeadAsync()).Snapshots);
        Assert.Equal(30, rig.Writer.LoadedForTesting!.Catalogue.Items);
        await rig.SnapshotAsync();
        Assert.Single((await rig.HeadAsync()).Snapshots);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Tombstones_are_folded_away_after_a_week()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"), rig.Upsert("b"), rig.Delete("a", T + 1));
        await rig.SnapshotAsync();
        Assert.NotNull(rig.Writer.LoadedForTesting!.Catalogue.Find("a"));

        rig.Clock.Advance(TimeSpan.FromDays(7.1));
        await rig.SnapshotAsync();

        Assert.Null(rig.Writer.LoadedForTesting!.Catalogue.Find("a"));
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Another_encoder_encodes_the_catalogue_again_and_the_next_snapshot_fits_new_codebooks()
    {
        await using var rig = new ShardRig();
        await FillAsync(rig, 30);
        string first = await rig.SnapshotAsync();
        ItemRow before = (await rig.Writer.FindAsync("item-1", default))!;
        rig.Models.Replace(new FakeEncoder("mirrored-1", fits: true));

        await rig.RestartAsync();
        string second = await rig.SnapshotAsync();

        Assert.NotEqual(before.Embedding, (await rig.Writer.FindAsync("item-1", default))!.Embedding);
        Assert.StartsWith("mirrored-1+", await ModelAsync(rig, second), StringComparison.Ordinal);
        Assert.NotEqual(await ModelAsync(rig, first), await ModelAsync(rig, second));
        await rig.AssertDurableAsync();
    }

    private static async Task FillAsync(ShardRig rig, int upTo)
    {
        int from = rig.Writer.LoadedForTesting?.Catalogue.Items ?? 0;
        await rig.ApplyAsync([.. Enumerable.Range(from, upTo - from).Select(i => rig.Upsert($"item-{i}", $"words number {i} about topic{i % 7}"))]);
        await rig.ApplyAsync(rig.Count(1, T, $"item-{from}"));
    }

    private static async Task TickAsync(ShardRig rig)
    {
        await rig.Writer.TickAsync(default);
        await rig.Writer.SnapshotsDoneAsync();
    }

    private static async Task<string> ModelAsync(ShardRig rig, string version) => (await rig.Snapshots.ReadManifestAsync(0, version, default)).ModelVersion;

    private static async Task<List<ItemRow>> RowsAsync(ShardRig rig, SnapshotManifest manifest)
    {
        var rows = new List<ItemRow>();
        await foreach (SnapshotRows part in rig.Snapshots.ReadRowsAsync(manifest, default))
        {
            for (int i = 0; i < part.Count; i++) rows.Add(part.ToItemRow(i));
        }

        return rows;
    }
}
