using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;

namespace Mesh.Retrieval.Tests;

public sealed class LiveIndexTests
{
    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, MemberData(nameof(Shapes))]
    public void After_any_history_every_way_to_find_an_item_agrees_with_a_plain_dictionary(string shape)
    {
        for (int seed = 1; seed <= 3; seed++) AssertSameAfter(IndexModel.RandomDeltas(seed, 3_000), Make.Index(IndexShapes.Options(shape)));
    }

    [Fact]
    public void Applying_a_suffix_of_the_history_again_changes_nothing()
    {
        List<IndexDelta> deltas = IndexModel.RandomDeltas(11, 1_000);
        LiveIndex index = Make.Index();
        var model = new IndexModel();
        foreach (IndexDelta delta in deltas)
        {
            index.Apply(delta, out _);
            model.Apply(delta);
        }

        // Deleted items aside, whose later history is gone: a row knows the delta that changed it last.
        foreach (IndexDelta delta in deltas.Where(delta => delta.DeltaCase != IndexDelta.DeltaOneofCase.Upserted || model.Rows.ContainsKey(delta.Upserted.Item.ItemId)))
        {
            index.Apply(delta, out _);
        }

        model.AssertSame(index);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void Compaction_keeps_every_item_and_leaves_no_dead_slot(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        var model = new IndexModel();
        foreach (IndexDelta delta in IndexModel.RandomDeltas(5, 12_000))
        {
            index.Apply(delta, out _);
            model.Apply(delta);
        }

        Assert.True(index.WantsCompaction(0.3));
        LiveIndex compact = Make.Compact(index);

        Assert.Equal(0, compact.Vectors.Tombstones);
        Assert.Equal(compact.Items, compact.Vectors.Slots);
        Assert.Equal(index.Sequence, compact.Sequence);
        Assert.False(compact.WantsCompaction(0.3));
        model.AssertSame(compact);
        model.AssertSame(index);
    }

    [Fact]
    public void An_update_with_the_same_vector_takes_no_new_slot()
    {
        LiveIndex index = Make.Index(Make.Row("a", text: "before"));

        index.Apply(Make.Upsert(2, Make.Row("a", text: "after")), out _);

        Assert.Equal(1, index.Vectors.Slots);
        Assert.Equal(0, index.Vectors.Tombstones);
        Assert.Equal("after", index.Find("a")!.Facts.Text);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void An_item_re_embedded_after_a_search_began_is_still_found_once_and_by_its_new_vector(string shape)
    {
        IVectorIndex vectors = Make.Index(IndexShapes.Options(shape)).Vectors;
        var row = new Row();
        RowState first = Make.Index(Make.Row("a")).Find("a")!;
        RowState Put(float[] vector) => new(first.Facts, first.Counters, first.Eligibility, 1, vectors.Upsert(row, first.Facts, first.Eligibility, vector));
        RowState before = row.State = Put([1, 0, 0, 0]);
        vectors.Publish();
        row.State = Put([0, 1, 0, 0]);
        var query = new QueryVectors([0, 1, 0, 0], 4);

        // What a search sees whose slot count was read before the second slot was published.
        RowHit during = Assert.Single(vectors.Search(query, 5, RowFilter.Visible, CancellationToken.None));
        vectors.Delete(before);
        vectors.Publish();
        RowHit after = Assert.Single(vectors.Search(query, 5, RowFilter.Visible, CancellationToken.None));

        Assert.Equal(1, during.Score);
        Assert.Equal(1, after.Score);
        Assert.Same(row, after.Row);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void An_item_that_moves_again_during_a_search_is_named_once_however_often_it_had_moved(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        for (ulong sequence = 1; sequence <= 9; sequence++) index.Apply(Make.Upsert(sequence, Make.Row("a", vector: [1, sequence, 0, 0])), out _);
        RowState state = index.Find("a")!;
        Row row = index.Vectors.Live().Single().Row;
        row.State = new RowState(state.Facts, state.Counters, state.Eligibility, 10, index.Vectors.Upsert(row, state.Facts, state.Eligibility, [0, 0, 1, 0]));

        RowHit hit = Assert.Single(index.Vectors.Search(new QueryVectors([0, 0, 1, 0], 4), 20, RowFilter.Visible, CancellationToken.None));

        Assert.Equal(1, hit.Score);
    }

    [Fact]
    public void Rows_that_do_not_fit_are_refused_with_the_reason_and_the_sequence_goes_on()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { ItemsMax = 2 });
        index.Apply(Make.Upsert(1, Make.Row("a")), out _);
        ItemRow cut = Make.Row("cut");
        cut.Embedding = ByteString.CopyFrom(1, 2, 3);

        AssertRefused(index, Make.Upsert(2, Make.Row("wide", vector: [1, 0, 0, 0, 0])), "5 dimensions, the index has 4");
        AssertRefused(index, Make.Upsert(3, Make.Row("nan", vector: [float.NaN, 1, 1, 1])), "not finite");
        AssertRefused(index, Make.Upsert(4, cut), "not a multiple of 4");
        AssertRefused(index, Make.Upsert(5, new ItemRow()), "names no item");
        Assert.Equal(Applied.Changed, index.Apply(Make.Upsert(6, Make.Row("b")), out _));
        AssertRefused(index, Make.Upsert(7, Make.Row("c")), "ItemsMax");
        Assert.Equal(Applied.Changed, index.Apply(Make.Upsert(8, Make.Row("a", text: "an update needs no room")), out _));
        index.Apply(Make.Delete(9, "b"), out _);
        Assert.Equal(Applied.Changed, index.Apply(Make.Upsert(10, Make.Row("c")), out _));
        Assert.Equal(10ul, index.Sequence);
    }

    [Theory, MemberData(nameof(Shapes))]
    public void An_item_without_an_embedding_is_kept_and_similar_to_nothing(string shape)
    {
        ItemRow bare = Make.Row("bare");
        bare.Embedding = ByteString.Empty;
        LiveIndex index = Make.Index(IndexShapes.Options(shape), Make.Row("a"), bare);

        List<RowHit> hits = index.Vectors.Search(new QueryVectors([1, 0, 0, 0], 4), 5, RowFilter.Visible, CancellationToken.None);

        Assert.Equal(["a", "bare"], hits.Select(hit => hit.State.Facts.ItemId));
        Assert.Equal(0, hits[1].Score);
        Assert.Empty(Retriever.Similar(index, new SimilarRequest { ItemId = "bare", Limit = 5 }, CancellationToken.None)!.Candidates);
        Assert.Single(Retriever.Similar(index, new SimilarRequest { ItemId = "a", Limit = 5 }, CancellationToken.None)!.Candidates);
    }

    [Fact]
    public void The_best_k_equal_a_full_sort_whatever_the_order_of_offers()
    {
        var random = new Random(4);
        RowHit[] hits = [.. Enumerable.Range(0, 300).Select(i => new RowHit(
            random.Next(20), new Row(), Make.Index(Make.Row($"item-{i}", createdAtMs: random.Next(5))).Find($"item-{i}")!))];

        foreach (int k in new[] { 0, 1, 7, 299, 300, 400 })
        {
            random.Shuffle(hits);
            var top = new TopRows(k);
            foreach (RowHit hit in hits) top.Offer(hit.Score, hit.Row, hit.State);

            Assert.Equal(hits.OrderDescending().Take(k), top.TakeBestFirst());
        }
    }

    [Theory, MemberData(nameof(Shapes))]
    public void A_search_stops_at_its_deadline(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape), Make.Row("a"));
        using var spent = new CancellationTokenSource();
        spent.Cancel();

        Assert.ThrowsAny<OperationCanceledException>(() => index.Vectors.Search(new QueryVectors([1, 0, 0, 0], 4), 5, RowFilter.Visible, spent.Token));
    }

    [Fact]
    public void A_prefix_list_forgets_the_dead_so_that_churn_does_not_grow_it()
    {
        LiveIndex index = Make.Index();
        ulong sequence = 0;
        for (int i = 0; i < 5_000; i++)
        {
            index.Apply(Make.Upsert(++sequence, Make.Row($"item-{i}", codes: [1, 2, 3])), out _);
            index.Apply(Make.Delete(++sequence, $"item-{i}"), out _);
        }

        Assert.InRange(index.Prefixes.Bytes, 0, 3_000);
        Assert.Equal(0, index.Prefixes.Root.Live);
        Assert.Equal(0, index.Items);
        Assert.Equal(0, index.Authors.Authors);
    }

    private static void AssertSameAfter(List<IndexDelta> deltas, LiveIndex index)
    {
        var model = new IndexModel();

        foreach (IndexDelta delta in deltas)
        {
            model.Apply(delta);
            index.Apply(delta, out _);
            if (delta.Sequence % 500 == 0) model.AssertSame(index);
        }

        Assert.Equal(3_000ul, index.Sequence);
        model.AssertSame(index);
    }

    private static void AssertRefused(LiveIndex index, IndexDelta delta, string reason)
    {
        Assert.Equal(Applied.Refused, index.Apply(delta, out string said));
        Assert.Contains(reason, said, StringComparison.Ordinal);
        Assert.Equal(delta.Sequence, index.Sequence);
    }

    [Fact]
    public void Counters_of_a_snapshot_row_are_its_numbers_whichever_way_they_are_asked()
    {
        int count = ActionTaxonomy.Default.CounterCount;
        float[] numbers = [.. Enumerable.Range(0, 3 * count).Select(i => (float)i)];
        var facts = new ItemFacts(new Item { ItemId = "a" }, []);
        var message = new Counters { AsOfMs = 77, Counts = { numbers.Skip(count).Take(count) } };
        var told = new RowState(facts, message, new Eligibility(), 5, 3);
        var state = new RowState(facts, numbers, row: 1, 77, new Eligibility(), 5, 3);

        foreach (RowState same in (RowState[])[state, state.At(9), state.With(new Eligibility { Hidden = true }, 6), state.At(9).With(new Eligibility(), 7)])
        {
            Assert.Equal(told.Engagement, same.Engagement);
            Assert.Equal(77, same.EngagementAsOfMs);
            Assert.Equal(message.Counts, Enumerable.Range(0, same.CountsHeld).Select(same.CountOf));
            Assert.Equal(message, same.Counters);
            Assert.Same(same.Counters, same.Counters);
        }

        Assert.Equal(new RowVersions(5, 5, 5), state.Versions);
        Assert.Equal(4, state.With(new Counters { Counts = { 4 } }, 8).CountOf(0));
    }
}
