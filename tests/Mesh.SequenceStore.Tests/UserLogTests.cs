using Mesh.Contracts;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Tests;

public sealed class UserLogTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_duplicate_is_found_however_old_it_is()
    {
        var bench = new LogBench(chunkEvents: 8, recentIdsMax: 4);
        Engagement[] events = [.. Enumerable.Range(0, 500).Select(i => Engagements.Event(i, Engagements.EpochMs + i))];
        foreach (Engagement[] batch in events.Chunk(50)) await bench.Log.AppendAsync("u1", batch, None);

        AppendOutcome again = await bench.Log.AppendAsync("u1", events, None);

        Assert.Equal(new AppendOutcome(Added: 0, Duplicates: 500, Late: 0, Expired: 0), again);
        Assert.Equal(500, (await bench.Reader.ContextAsync("u1", long.MaxValue, 0, None)).EventsTotal);
    }

    [Fact]
    public async Task A_recent_duplicate_with_another_time_is_found_too()
    {
        var bench = new LogBench(recentIdsMax: 100);
        await bench.Log.AppendAsync("u1", [Engagements.Event(1, Engagements.EpochMs)], None);

        AppendOutcome again = await bench.Log.AppendAsync("u1", [Engagements.Event(1, Engagements.EpochMs + 5_000)], None);

        Assert.Equal(1, again.Duplicates);
        Assert.Equal(Engagements.EpochMs, (await bench.Reader.HistoryAsync("u1", long.MaxValue, 10, None)).Events.Single().TimeMs);
    }

    [Theory]
    [InlineData("BeforeCommit")]
    [InlineData("AfterCommit")]
    public async Task A_batch_redelivered_after_a_failure_is_there_exactly_once(string fault)
    {
        var bench = new LogBench();
        Engagement[] batch = [.. Enumerable.Range(0, 11).Select(i => Engagements.Event(i, Engagements.EpochMs + (i * 37 % 11)))];
        bench.State.NextTransaction = Enum.Parse<InMemoryUserState.Fault>(fault);

        await Assert.ThrowsAsync<IOException>(() => bench.Log.AppendAsync("u1", batch, None));
        await bench.Log.AppendAsync("u1", batch, None);

        UserHistory history = await bench.Reader.HistoryAsync("u1", long.MaxValue, 100, None);
        Assert.Equal(Engagements.Model(batch).AsEnumerable().Reverse().Select(Engagements.AsStored), history.Events);
    }

    [Fact]
    public async Task A_reader_whose_chunk_is_swapped_away_reads_again_and_sees_one_consistent_log()
    {
        var bench = new LogBench(chunkEvents: 4);
        Engagement[] events = [.. Enumerable.Range(0, 20).Select(i => Engagements.Event(i, Engagements.EpochMs + (i * 10)))];
        await bench.Log.AppendAsync("u1", events, None);
        Engagement late = Engagements.Event(99, Engagements.EpochMs + 15);
        bool swapped = false;
        bench.State.BeforeGet = async keys =>
        {
            if (swapped || !keys.Any(key => key.Contains(":c:", StringComparison.Ordinal))) return;
            swapped = true;
            await bench.Log.AppendAsync("u1", [late], None);
        };

        UserHistory history = await bench.Reader.HistoryAsync("u1", long.MaxValue, 100, None);

        Assert.True(swapped);
        Assert.Equal(Engagements.Model([.. events, late]).AsEnumerable().Reverse().Select(Engagements.AsStored), history.Events);
    }

    [Fact]
    public async Task A_reader_with_a_head_from_before_an_erasure_never_sees_chunks_from_after_it_in_their_place()
    {
        var bench = new LogBench(chunkEvents: 4);
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(0, 20).Select(i => Engagements.Event(i, Engagements.EpochMs + i))], None);
        long afterMs = Engagements.EpochMs + 1;
        Engagement[] after = [.. Enumerable.Range(200, 20).Select(i => Engagements.Event(i, Engagements.EpochMs + i, receivedAtMs: afterMs))];
        bool erased = false;
        bench.State.BeforeGet = async keys =>
        {
            if (erased || !keys.Any(key => key.Contains(":c:", StringComparison.Ordinal))) return;
            erased = true;
            await bench.Erasure.EraseAsync("u1", None);
            await bench.Log.AppendAsync("u1", after, None);
        };

        UserHistory history = await bench.Reader.HistoryAsync("u1", long.MaxValue, 100, None);

        Assert.Equal(after.Reverse().Select(Engagements.AsStored), history.Events);
    }

    [Fact]
    public async Task A_context_that_the_tail_covers_costs_one_read_of_the_store()
    {
        var bench = new LogBench(chunkEvents: 256);
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(0, 600).Select(i => Engagements.Event(i, Engagements.EpochMs + i))], None);
        bench.State.Gets.Clear();

        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 80, None);

        Assert.Equal(80, context.Sequence.ItemIds.Count);
        Assert.Single(bench.State.Gets);
    }

    [Fact]
    public async Task A_short_read_of_a_long_log_loads_only_the_chunks_that_hold_it()
    {
        var bench = new LogBench(chunkEvents: 10);
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(0, 1_000).Select(i => Engagements.Event(i, Engagements.EpochMs + i))], None);
        bench.State.Gets.Clear();

        UserHistory history = await bench.Reader.HistoryAsync("u1", Engagements.EpochMs + 504, 12, None);

        Assert.Equal(Enumerable.Range(0, 12).Select(i => Engagements.EpochMs + 504 - i), history.Events.Select(e => e.TimeMs));
        Assert.InRange(bench.State.Gets[1].Count, 2, 3);
    }

    [Fact]
    public async Task Retention_folds_chunks_that_are_too_old_and_their_duplicates_do_not_come_back()
    {
        var bench = new LogBench(chunkEvents: 4, retentionDays: 30);
        long oldMs = Engagements.EpochMs - (long)TimeSpan.FromDays(60).TotalMilliseconds;
        Engagement[] old = [.. Enumerable.Range(0, 8).Select(i => Engagements.Event(i, oldMs + i))];
        await bench.Log.AppendAsync("u1", old, None);
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(100, 8).Select(i => Engagements.Event(i, Engagements.EpochMs + i))], None);

        AppendOutcome again = await bench.Log.AppendAsync("u1", old, None);

        Assert.Equal(8, again.Expired);
        Assert.DoesNotContain((await bench.Reader.HistoryAsync("u1", long.MaxValue, 100, None)).Events, e => e.TimeMs < Engagements.EpochMs);
        Assert.Equal(Enumerable.Range(0, 8).Concat(Enumerable.Range(100, 8)).Select(i => i % 97).Distinct().Count(), (await bench.Reader.ContextAsync("u1", long.MaxValue, 0, None)).Engaged.Count);
    }

    [Fact]
    public async Task Impressions_in_the_log_do_not_count_as_engaged()
    {
        var bench = new LogBench();
        await bench.Log.AppendAsync("u1", [Engagements.Event(1, Engagements.EpochMs, action: "impression"), Engagements.Event(2, Engagements.EpochMs)], None);

        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 10, None);

        Assert.Equal(2, context.Sequence.ItemIds.Count);
        Assert.Equal([ItemHash.Compute("item-2")], context.Engaged);
        Assert.Equal(ActionTaxonomy.Default.ImpressionIndex, context.Sequence.Actions[0]);
    }

    [Fact]
    public async Task The_engaged_set_keeps_the_items_engaged_with_last()
    {
        var bench = new LogBench(engagedMax: 10);
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(0, 30).Select(i => Engagements.Event(i, Engagements.EpochMs + i))], None);

        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 0, None);

        Assert.Equal(Enumerable.Range(20, 10).Select(i => ItemHash.Compute($"item-{i}")), context.Engaged);
    }

    [Fact]
    public async Task An_unknown_user_is_empty_at_version_zero()
    {
        UserContext context = await new LogBench().Reader.ContextAsync("nobody", long.MaxValue, 10, None);

        Assert.Equal((0L, 0L, 0), (context.Version, context.EventsTotal, context.Sequence.ItemIds.Count));
    }

    [Fact]
    public void Users_whose_ids_look_like_keys_do_not_share_a_key()
    {
        string[] users = ["a", "a:c", "a:h", "a:c:1", "a:r", "a:e", "a:r:1", "a:p"];
        string[] keys =
        [
            .. users.SelectMany(user => (string[])[
                Storage.StateKeys.Head(user), Storage.StateKeys.Engaged(user), Storage.StateKeys.Profile(user), Storage.StateKeys.Served(user),
                Storage.StateKeys.RequestDirectory(user), Storage.StateKeys.Chunk(user, 1), Storage.StateKeys.RequestPage(user, 1)]),
        ];

        Assert.Equal(keys.Length, keys.Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public async Task Lag_runs_from_the_gateway_to_durable()
    {
        var bench = new LogBench();

        await bench.Log.AppendAsync("u1", [Engagements.Event(1, Engagements.EpochMs, receivedAtMs: Engagements.EpochMs - 250)], None);

        Assert.Equal(250, bench.Metrics.LastEventLagMs);
        Assert.Equal(1, bench.Metrics.EventsAppended);
    }
}
