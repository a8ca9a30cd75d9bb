using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.Hosting;
using Mesh.IndexUpdater.Shards;

namespace Mesh.IndexUpdater.Tests;

public sealed class ShardWriterTests
{
    private const long T = ShardRig.EpochMs;

    [Fact]
    public async Task Every_delta_has_the_next_sequence_number_and_is_stored_and_published()
    {
        await using var rig = new ShardRig();

        await rig.ApplyAsync(rig.Upsert("a"), rig.Upsert("b"));
        await rig.ApplyAsync(rig.Count(0, T, "a"));
        await rig.ApplyAsync(rig.Hide("b", true, T));
        await rig.ApplyAsync(rig.Delete("a", T + 1));

        Assert.Equal([1, 2, 3, 4, 5], rig.Publisher.Deltas.Select(delta => (int)delta.Sequence));
        Assert.Equal(rig.Publisher.Deltas, (await rig.Log.ReadAsync(0, 0, 100, default)).Deltas);
        Assert.Equal(5ul, (await rig.HeadAsync()).Sequence);
        Assert.Equal(1, (await rig.HeadAsync()).Items);
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(3, 1)]
    public async Task A_log_of_another_number_of_shards_is_refused_and_stays_as_it_is(int written, int configured)
    {
        await using var before = new ShardRig(new IndexUpdaterOptions { Shards = written });
        await before.ApplyAsync(before.Upsert("a"));
        await using var after = new ShardRig(new IndexUpdaterOptions { Shards = configured }, before);

        InvalidDataException refused = await Assert.ThrowsAsync<InvalidDataException>(() => after.ApplyAsync(after.Upsert("b")));

        Assert.Contains($"written when items were spread over {written} shards; IndexUpdater:Shards is {configured}", refused.Message, StringComparison.Ordinal);
        Assert.Equal(1ul, (await after.HeadAsync()).Sequence);
        await before.ApplyAsync(before.Upsert("b")); // set back, it goes on
    }

    [Fact]
    public async Task A_crash_between_storing_and_publishing_is_made_good_by_the_next_writer()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"));
        rig.Publisher.FailBefore = 1;
        ItemChange change = rig.Upsert("b");
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(change));

        await rig.RestartAsync();

        Assert.Equal(["a", "b"], Ids(rig.Publisher.Deltas.DistinctBy(delta => delta.Sequence)));
        await rig.ApplyAsync(change); // the broker delivers it again
        Assert.Equal(2ul, rig.Publisher.Deltas.Max(delta => delta.Sequence));
    }

    [Fact]
    public async Task While_the_broker_is_away_nothing_new_is_stored_and_the_order_is_kept_when_it_comes_back()
    {
        await using var rig = new ShardRig();
        rig.Publisher.FailBefore = 3;
        ItemChange[] changes = [rig.Upsert("a"), rig.Upsert("b")];
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(changes[0]));
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(changes[1]));
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(changes[1]));
        Assert.Equal(1ul, (await rig.HeadAsync()).Sequence);

        await rig.ApplyAsync(changes[1]);

        Assert.Equal(["a", "b"], Ids(rig.Publisher.Deltas));
    }

    [Fact]
    public async Task A_batch_whose_publication_was_not_confirmed_is_sent_again_with_the_same_numbers()
    {
        await using var rig = new ShardRig();
        rig.Publisher.FailAfter = 1;
        ItemChange change = rig.Upsert("a");
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(change));

        await rig.ApplyAsync(change);

        Assert.Equal([1, 1], rig.Publisher.Deltas.Select(delta => (int)delta.Sequence));
    }

    [Fact]
    public async Task A_transaction_that_failed_leaves_nothing_behind()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"));
        rig.State.FailBefore = 1;
        CounterEvent counted = rig.Count(0, T, "a", "unknown");
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(counted));
        Assert.Single(rig.Publisher.Deltas);

        await rig.ApplyAsync(counted);

        Assert.Equal(1f, (await rig.Writer.FindAsync("a", default))!.Counters.Counts[0]);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task A_transaction_whose_answer_was_lost_is_found_and_not_done_twice()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"));
        rig.State.FailAfter = 1;
        CounterEvent counted = rig.Count(3, T, "a");
        await Assert.ThrowsAsync<IOException>(() => rig.ApplyAsync(counted));

        await rig.ApplyAsync(counted);

        Assert.Equal(1f, (await rig.Writer.FindAsync("a", default))!.Counters.Counts[3]);
        Assert.Equal([1, 2], rig.Publisher.Deltas.Select(delta => (int)delta.Sequence));
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Two_writers_of_one_shard_never_give_a_number_twice()
    {
        await using var rig = new ShardRig();
        await using ShardWriter other = rig.NewWriter();
        await rig.ApplyAsync(rig.Upsert("a"));
        await other.AppendItemsAsync(new ItemChanges { Changes = { rig.Upsert("b") } }, default);
        await rig.ApplyAsync(rig.Upsert("c"));
        await other.AppendItemsAsync(new ItemChanges { Changes = { rig.Upsert("d") } }, default);

        IndexDeltaBatch log = await rig.Log.ReadAsync(0, 0, 100, default);

        Assert.Equal(["a", "b", "c", "d"], Ids(log.Deltas));
        Assert.Equal([1, 2, 3, 4], log.Deltas.Select(delta => (int)delta.Sequence));
        Assert.Equal(log.Deltas, rig.Publisher.Deltas.DistinctBy(delta => delta.Sequence));
    }

    [Fact]
    public async Task An_older_change_never_overwrites_a_newer_one_and_a_redelivery_changes_nothing()
    {
        await using var rig = new ShardRig();
        ItemChange older = rig.Upsert("a", "old", T + 1);
        ItemChange newer = rig.Upsert("a", "new", T + 2);
        await rig.ApplyAsync(newer);

        await rig.ApplyAsync(older, newer, newer, rig.Delete("a", T));

        Assert.Equal("new", (await rig.Writer.FindAsync("a", default))!.Item.Text);
        Assert.Single(rig.Publisher.Deltas);
    }

    [Fact]
    public async Task A_deleted_item_is_not_brought_back_by_a_late_older_change_and_is_by_a_newer_one()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Delete("a", T + 5)); // before the item itself: only a tombstone
        Assert.Empty(rig.Publisher.Deltas);
        await rig.RestartAsync();

        await rig.ApplyAsync(rig.Upsert("a", "old", T + 4));
        Assert.Null(await rig.Writer.FindAsync("a", default));

        await rig.ApplyAsync(rig.Upsert("a", "new", T + 6));
        Assert.Equal("new", (await rig.Writer.FindAsync("a", default))!.Item.Text);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Upsert_delete_and_upsert_of_one_item_in_one_batch_leave_the_last()
    {
        await using var rig = new ShardRig();

        await rig.ApplyAsync(rig.Upsert("a", "one", T), rig.Delete("a", T + 1), rig.Upsert("a", "two", T + 2), rig.Upsert("b", "x", T), rig.Delete("b", T + 1));

        await rig.AssertDurableAsync();
        Assert.Equal("two", (await rig.Writer.FindAsync("a", default))!.Item.Text);
        Assert.Null(await rig.Writer.FindAsync("b", default));
        Assert.Equal(1, (await rig.HeadAsync()).Items);
    }

    [Fact]
    public async Task Eligibility_is_patched_field_by_field_and_each_field_keeps_its_latest_change()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"));
        var regions = new EligibilityChange
        {
            EventId = rig.NewEventId(), TimeMs = T + 1, ItemId = "a", Fields = { "regions", "hidden" }, Eligibility = new Eligibility { Regions = { "PT" }, Hidden = true, Safety = "safe" },
        };
        EligibilityChange shown = rig.Hide("a", false, T + 2);
        await rig.ApplyAsync(shown);

        await rig.ApplyAsync(regions); // late: its hidden is older than shown, its regions are news

        Eligibility expected = new() { Regions = { "PT" }, Hidden = false };
        Assert.Equal(expected, (await rig.Writer.FindAsync("a", default))!.Eligibility);
        Assert.Equal(expected, rig.Publisher.Deltas.Last().Eligibility.Eligibility);
        await rig.ApplyAsync(shown, regions);
        Assert.Equal(3, rig.Publisher.Deltas.Count());
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task What_arrives_before_its_item_is_kept_and_goes_out_with_it()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Count(2, T, "late"), rig.Count(2, T, "late"));
        await rig.ApplyAsync(rig.Hide("late", true, T));
        Assert.Empty(rig.Publisher.Deltas);
        await rig.SnapshotAsync();
        await rig.RestartAsync();

        await rig.ApplyAsync(rig.Upsert("late"));

        ItemRow row = rig.Publisher.Deltas.Last().Upserted;
        Assert.Equal(2f, row.Counters.Counts[2]);
        Assert.True(row.Eligibility.Hidden);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Orphans_are_bounded_and_the_one_touched_longest_ago_goes_first()
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { OrphansMax = 3 });
        await rig.ApplyAsync(rig.Count(0, T, "a", "b", "c"));
        await rig.ApplyAsync(rig.Count(0, T, "a"));

        await rig.ApplyAsync(rig.Count(0, T, "d"));

        Assert.Equal(["c", "a", "d"], rig.Writer.LoadedForTesting!.Catalogue.Orphans);
        await rig.AssertDurableAsync();
    }

    [Fact]
    public async Task Batches_stay_small_enough_for_the_sidecar_stored_and_published()
    {
        await using var rig = new ShardRig();
        ItemChange[] changes = [.. Enumerable.Range(0, 700).Select(i => rig.Upsert($"item-{i}", new string((char)('a' + (i % 26)), 1_400)))];
        await rig.ApplyAsync(changes);
        string longId = new('x', 122);
        await rig.ApplyAsync([.. Enumerable.Range(0, 700).Select(i => rig.Count(i % 15, T - i, $"item-{i}", $"{longId}{i}"))]);

        Assert.True(rig.Publisher.Batches.Count > 4);
        Assert.All(rig.Publisher.Batches, batch => Assert.InRange(ProtobufJson.Format(batch).Length, 1, 1024 * 1024));
        Assert.All(rig.State.Keys, key => Assert.InRange(rig.State[key]!.Length, 1, 512 * 1024));
        Assert.InRange(rig.State.LargestTransaction, 1, 3 * 1024 * 1024);
        await rig.AssertDurableAsync();
    }

    private static IEnumerable<string> Ids(IEnumerable<IndexDelta> deltas) => deltas.Select(delta => delta.Upserted.Item.ItemId);
}
