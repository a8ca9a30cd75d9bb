using Mesh.Contracts;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>Compaction beside a writer that goes on.</summary>
public sealed class CompactionTests
{
    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, MemberData(nameof(Shapes))]
    public async Task A_copy_made_while_the_writer_goes_on_ends_equal_to_the_index(string shape)
    {
        List<IndexDelta> deltas = IndexModel.RandomDeltas(21, 9_000, items: 400);
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        var model = new IndexModel();
        foreach (IndexDelta delta in deltas.Take(3_000)) Apply(index, model, delta);
        var compaction = new Compaction(index, deltasMax: 100_000);

        var told = new TaskCompletionSource();
        compaction.Start(1, () => new ValueTask(Task.Run(told.SetResult)), CancellationToken.None);
        foreach (IndexDelta delta in deltas.Skip(3_000))
        {
            Apply(index, model, delta);
            compaction.Note(delta);
        }

        await told.Task;
        LiveIndex copy = Assert.IsType<LiveIndex>(compaction.TryFinish());

        Assert.Equal(index.Sequence, copy.Sequence);
        model.AssertSame(copy);
        model.AssertSame(index);
        IndexDelta tooOld = Make.Upsert(1, Make.Row(deltas.Last(delta => delta.DeltaCase == IndexDelta.DeltaOneofCase.DeletedItemId).DeletedItemId));
        copy.Apply(tooOld, out _);
        model.AssertSame(copy); // tombstones came along
    }

    [Fact]
    public async Task A_writer_that_never_rests_does_not_keep_a_compaction_from_ending()
    {
        LiveIndex index = Make.Index([.. Enumerable.Range(0, 2_000).Select(i => Make.Row($"item-{i}"))]);
        ulong sequence = index.Sequence;
        var compaction = new Compaction(index, deltasMax: int.MaxValue);
        compaction.Start(1, () => ValueTask.CompletedTask, CancellationToken.None);

        for (int i = 0; i < 20_000_000 && !compaction.Task.IsCompleted; i++)
        {
            IndexDelta delta = Make.Engage(++sequence, $"item-{i % 2_000}", likes: i);
            index.Apply(delta, out _);
            compaction.Note(delta);
        }

        Assert.True(compaction.Task.IsCompletedSuccessfully);
        LiveIndex copy = Assert.IsType<LiveIndex>(compaction.TryFinish());
        Assert.Equal(sequence, copy.Sequence);
        foreach ((_, RowState state) in index.Vectors.Live()) Assert.Equal(state.Version, copy.Find(state.Facts.ItemId)!.Version);
    }

    [Fact]
    public async Task A_compaction_that_more_deltas_outrun_than_may_comes_to_nothing()
    {
        LiveIndex index = Make.Index(Make.Row("a"));
        var compaction = new Compaction(index, deltasMax: 3);
        for (ulong sequence = 2; sequence <= 5; sequence++)
        {
            IndexDelta delta = Make.Engage(sequence, "a", sequence);
            index.Apply(delta, out _);
            compaction.Note(delta);
        }

        compaction.Start(1, () => ValueTask.CompletedTask, CancellationToken.None);
        await compaction.Task;

        Assert.Null(compaction.TryFinish());
    }

    [Fact]
    public async Task Deltas_are_applied_and_searches_answered_while_the_follower_compacts_and_nothing_is_lost()
    {
        var log = new FakeLog();
        await using FollowerRig rig = await new FollowerRig(
            log, new RetrievalOptions { ProbeIntervalMs = 60_000, TombstonesMaxShare = 0.05, RingItemsMax = 5_000 }).StartReadyAsync();
        List<IndexDelta> deltas = IndexModel.RandomDeltas(31, 30_000, items: 2_000);
        log.Append(deltas);
        var query = new QueryVectors([1, 0, 0, 0], 4);

        foreach (IndexDelta[] chunk in deltas.Chunk(50))
        {
            await rig.DeliverAsync(chunk);
            Assert.NotNull(rig.Current.Vectors.Search(query, 5, RowFilter.Visible, CancellationToken.None));
        }

        await rig.CaughtUpAsync();
        await Eventually.True(() => rig.Lines.Text.Contains("(compaction)", StringComparison.Ordinal), "a compaction is logged");
        log.Model.AssertSame(rig.Current);
    }

    private static void Apply(LiveIndex index, IndexModel model, IndexDelta delta)
    {
        index.Apply(delta, out _);
        model.Apply(delta);
    }
}
