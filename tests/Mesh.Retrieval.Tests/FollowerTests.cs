using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Retrieval.Deltas;

namespace Mesh.Retrieval.Tests;

public sealed class FollowerTests
{
    private static readonly RetrievalOptions Unprobed = new() { ProbeIntervalMs = 3_600_000, BackoffMaxMs = 20 };

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public async Task Whatever_is_lost_repeated_or_reordered_the_index_ends_equal_to_the_log(int seed)
    {
        await using var rig = await new FollowerRig().StartReadyAsync();
        var random = new Random(seed);
        List<IndexDelta> deltas = IndexModel.RandomDeltas(seed, 2_000);
        rig.Log.Append(deltas);

        // Batches of up to 20, a tenth lost, a fifth twice, all shuffled within a window of 8 batches.
        List<List<IndexDelta>> batches = [];
        for (int at = 0, size; at < deltas.Count; at += size)
        {
            size = Math.Min(1 + random.Next(20), deltas.Count - at);
            List<IndexDelta> batch = deltas.GetRange(at, size);
            if (random.Next(10) != 0) batches.Add(batch);
            if (random.Next(5) == 0) batches.Add(batch);
        }

        foreach (List<IndexDelta>[] window in batches.Chunk(8))
        {
            random.Shuffle(window);
            foreach (List<IndexDelta> batch in window)
            {
                await rig.DeliverAsync([.. batch]);
                if (random.Next(4) == 0) await Task.Yield();
            }
        }

        await rig.CaughtUpAsync();
        rig.Log.Model.AssertSame(rig.Current);
    }

    [Fact]
    public async Task Snapshot_and_replay_give_the_same_index_as_the_live_stream()
    {
        List<IndexDelta> deltas = IndexModel.RandomDeltas(21, 1_500);
        var log = new FakeLog();
        log.Append(deltas[..1_000]);
        IndexDelta notice = await log.SnapshotAsync();
        List<IndexDelta> later = IndexModel.RandomDeltas(22, 400);
        foreach (IndexDelta delta in later)
        {
            delta.Sequence += notice.Sequence;
            if (delta.DeltaCase == IndexDelta.DeltaOneofCase.Upserted) delta.Upserted.Version = delta.Sequence;
        }

        log.Append(later);
        await using var replayed = await new FollowerRig(log).StartReadyAsync();
        await using var live = await new FollowerRig(new FakeLog(), Unprobed).StartReadyAsync();
        live.Log.Append(deltas[..1_000]);
        foreach (IndexDelta[] batch in deltas[..1_000].Append(notice).Concat(later).Chunk(50)) await live.DeliverAsync(batch);

        await Eventually.True(() => live.Current.Sequence == log.Head, "the stream is applied");
        Assert.Equal("version-1", replayed.Current.Origin.Version);
        Assert.Equal("live", live.Current.Origin.Version);
        log.Model.AssertSame(replayed.Current);
        log.Model.AssertSame(live.Current);
    }

    [Fact]
    public async Task A_gap_is_fetched_once_from_the_log_and_counted_in_the_log_line()
    {
        await using var rig = await new FollowerRig(options: Unprobed).StartReadyAsync();
        IndexDelta[] deltas = [.. Enumerable.Range(1, 10).Select(i => Make.Upsert((ulong)i, Make.Row($"item-{i}")))];
        rig.Log.Append(deltas);
        int callsBefore = rig.Log.DeltaCalls;

        await rig.DeliverAsync(deltas[0]);
        await rig.DeliverAsync(deltas[5..7]);
        await rig.DeliverAsync(deltas[7..]);
        await rig.CaughtUpAsync();

        Assert.Equal(1, rig.Log.DeltaCalls - callsBefore);
        Assert.Contains("Deltas 2 to 5 never arrived", rig.Lines.Text, StringComparison.Ordinal);
        Assert.Equal(10, rig.Current.Items);
    }

    [Fact]
    public async Task A_lost_last_message_is_found_by_the_probe()
    {
        await using var rig = await new FollowerRig().StartReadyAsync();

        rig.Log.Append([Make.Upsert(1, Make.Row("never-delivered"))]);

        await rig.CaughtUpAsync();
        Assert.NotNull(rig.Current.Find("never-delivered"));
    }

    [Fact]
    public async Task An_announced_snapshot_is_loaded_and_swapped_in_without_losing_later_deltas()
    {
        await using var rig = await new FollowerRig(options: Unprobed).StartReadyAsync();
        IndexDelta first = Make.Upsert(1, Make.Row("a"));
        rig.Log.Append([first]);
        await rig.DeliverAsync(first);
        await rig.CaughtUpAsync();
        var before = rig.Current;
        IndexDelta notice = await rig.Log.SnapshotAsync();
        IndexDelta after = Make.Upsert(notice.Sequence + 1, Make.Row("b"));
        rig.Log.Append([after]);

        await rig.DeliverAsync(notice, after);

        await Eventually.True(() => rig.Current.Origin.Version == "version-1", "the snapshot is swapped in");
        Assert.NotSame(before, rig.Current);
        Assert.Equal(12, rig.Current.Origin.CounterHalfLifeHours);
        rig.Log.Model.AssertSame(rig.Current);
        rig.Log.Model.AssertSame(before);
    }

    [Fact]
    public async Task A_snapshot_of_the_model_in_use_gives_the_index_its_name_and_is_not_loaded_again()
    {
        var log = new FakeLog { ModelVersion = "one" };
        log.Append([Make.Upsert(1, Make.Row("a"))]);
        await log.SnapshotAsync();
        await using var rig = await new FollowerRig(log).StartReadyAsync();
        var before = rig.Current;
        log.Append([Make.Upsert(3, Make.Row("b"))]);
        await log.SnapshotAsync();
        log.Damage(); // reading it would fail

        await Eventually.True(() => rig.Current.Origin.Version == "version-2", "the index takes the name");
        Assert.Same(before, rig.Current);
        Assert.Equal(3ul, rig.Current.Origin.Sequence);
        Assert.Equal(0, rig.Lines.Count(3005));
        log.ModelVersion = "two";
        await log.SnapshotAsync();
        await Eventually.True(() => rig.Current.Origin.ModelVersion == "two", "another model is loaded");
        Assert.NotSame(before, rig.Current);
        log.Model.AssertSame(rig.Current);
    }

    [Fact]
    public async Task A_damaged_snapshot_is_left_alone_until_it_can_be_read()
    {
        await using var rig = await new FollowerRig().StartReadyAsync();
        rig.Log.Append([Make.Upsert(1, Make.Row("a"))]);
        await rig.Log.SnapshotAsync();
        rig.Log.Damage();

        await Eventually.True(() => rig.Lines.Count(3005) >= 2, "two tries are logged");
        Assert.Equal("live", rig.Current.Origin.Version);
        Assert.NotNull(rig.Current.Find("a"));

        await rig.Log.SnapshotAsync();
        await Eventually.True(() => rig.Current.Origin.Version == "version-2", "the next snapshot is swapped in");
    }

    [Fact]
    public async Task Start_waits_for_index_updater_and_logs_the_change_once()
    {
        var log = new FakeLog { IsDown = true };
        log.Append([Make.Upsert(1, Make.Row("a"))]);
        await using var rig = await new FollowerRig(log).StartAsync();
        await Eventually.True(() => log.SnapshotCalls >= 5, "it tries again and again");

        Assert.NotNull(rig.State.NotReadyReason(rig.Holder.Current, rig.Options));
        Assert.Equal(1, rig.Lines.Count(3002));
        log.IsDown = false;

        await Eventually.True(() => rig.State.Started, "it starts");
        Assert.Null(rig.State.NotReadyReason(rig.Holder.Current, rig.Options));
        Assert.Equal(1, rig.Lines.Count(3003));
        Assert.NotNull(rig.Current.Find("a"));
    }

    [Fact]
    public async Task A_truncated_log_means_loading_the_snapshot_that_holds_what_is_gone()
    {
        await using var rig = await new FollowerRig().StartReadyAsync();
        rig.Log.IsDown = true;
        rig.Log.Append(IndexModel.RandomDeltas(8, 500));
        IndexDelta notice = await rig.Log.SnapshotAsync();
        rig.Log.TruncateThrough(notice.Snapshot.Sequence);

        rig.Log.IsDown = false;

        await rig.CaughtUpAsync();
        Assert.Equal("version-1", rig.Current.Origin.Version);
        rig.Log.Model.AssertSame(rig.Current);
    }

    [Fact]
    public async Task A_log_that_was_lost_and_began_again_replaces_the_index()
    {
        await using var rig = await new FollowerRig().StartReadyAsync();
        rig.Log.Append(IndexModel.RandomDeltas(9, 300));
        await rig.CaughtUpAsync();

        rig.Log.Replace([Make.Upsert(1, Make.Row("of-the-new-log"))]);

        await rig.CaughtUpAsync();
        await Eventually.True(() => rig.Current.Items == 1, "the old items are gone");
        Assert.NotNull(rig.Current.Find("of-the-new-log"));
        Assert.Equal(1, rig.Lines.Count(3007));
    }

    [Fact]
    public async Task Readiness_ends_after_the_allowed_lag_and_returns_when_caught_up()
    {
        await using var rig = await new FollowerRig(options: new RetrievalOptions { ProbeIntervalMs = 20, LagMaxSeconds = 1 }).StartReadyAsync();
        rig.Log.IsDown = true;
        IndexDelta[] deltas = [.. Enumerable.Range(1, 3).Select(i => Make.Upsert((ulong)i, Make.Row($"item-{i}")))];
        rig.Log.Append(deltas);

        await rig.DeliverAsync(deltas[2]);
        await Eventually.True(() => rig.State.NotReadyReason(rig.Current, rig.Options) is not null, "the lag is past its limit");
        Assert.Contains("3 deltas behind", rig.State.NotReadyReason(rig.Current, rig.Options), StringComparison.Ordinal);
        rig.Log.IsDown = false;

        await rig.CaughtUpAsync();
        await Eventually.True(() => rig.State.NotReadyReason(rig.Current, rig.Options) is null, "it is ready again");
    }

    [Fact]
    public async Task Batches_of_another_shard_are_passed_over_and_broken_ones_dropped()
    {
        await using var rig = await new FollowerRig(options: Unprobed).StartReadyAsync();
        IndexDeltaBatch foreign = Make.Batch([Make.Upsert(1, Make.Row("foreign"))]);
        foreign.Shard = 1;
        IndexDeltaBatch own = Make.Batch([Make.Upsert(1, Make.Row("own"))]);
        IndexDeltaBatch broken = Make.Batch([Make.Upsert(2, Make.Row("x")), Make.Upsert(5, Make.Row("y"))]);

        IReadOnlyList<Delivery> deliveries = await rig.Follower.Receive([foreign, broken, own], CancellationToken.None);

        Assert.Equal([Delivery.Success, Delivery.Drop, Delivery.Success], deliveries);
        await Eventually.True(() => rig.Current.Sequence == 1, "the own delta is applied");
        Assert.Null(rig.Current.Find("foreign"));
    }

    [Fact]
    public async Task Refused_items_are_reported_in_one_line_not_one_each()
    {
        await using var rig = await new FollowerRig(options: new RetrievalOptions { ItemsMax = 5, ProbeIntervalMs = 20 }).StartReadyAsync();

        rig.Log.Append(Enumerable.Range(1, 500).Select(i => Make.Upsert((ulong)i, Make.Row($"item-{i}"))));

        await rig.CaughtUpAsync();
        await Eventually.True(() => rig.Lines.Count(3008) > 0, "the refusal is logged");
        Assert.Equal(5, rig.Current.Items);
        Assert.InRange(rig.Lines.Count(3008), 1, 3);
        Assert.Contains("ItemsMax", rig.Lines.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_index_with_many_dead_slots_is_compacted_in_place_of_itself()
    {
        await using var rig = await new FollowerRig(options: Unprobed).StartReadyAsync();
        List<IndexDelta> deltas = IndexModel.RandomDeltas(13, 8_000);
        rig.Log.Append(deltas);

        foreach (IndexDelta[] batch in deltas.Chunk(200)) await rig.DeliverAsync(batch);

        await rig.CaughtUpAsync();
        await Eventually.True(() => rig.Lines.Text.Contains("(compaction)", StringComparison.Ordinal), "a compaction is logged");
        Assert.InRange(rig.Current.Vectors.Tombstones, 0, 4_100);
        rig.Log.Model.AssertSame(rig.Current);
    }

    [Fact]
    public void The_reorder_buffer_is_bounded_and_gives_up_the_latest_first()
    {
        var buffer = new ReorderBuffer(3);
        int discarded = 0;
        foreach (ulong sequence in new ulong[] { 9, 3, 7, 5, 5, 1, 2 }) discarded += buffer.Add(Make.Delete(sequence, "x"), applied: 1);

        Assert.Equal(2, discarded);
        Assert.Equal(3, buffer.Count);
        Assert.Equal(2ul, buffer.First);
        Assert.Equal([2ul, 3ul], buffer.TakeNext(1).Select(delta => delta.Sequence));
        Assert.Equal(5ul, buffer.First);
        Assert.Empty(buffer.TakeNext(3));
        Assert.Equal([5ul], buffer.TakeNext(4).Select(delta => delta.Sequence));
        Assert.Equal(0, buffer.Count);
    }
}
