using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>The conflict rule: per part of a row the latest delta wins, whatever order they come in.</summary>
public sealed class DeltaOrderTests
{
    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, MemberData(nameof(Shapes))]
    public void Any_order_of_the_deltas_with_any_repeats_gives_the_rows_of_the_log(string shape)
    {
        for (int seed = 1; seed <= 12; seed++)
        {
            var random = new Random(seed);
            List<IndexDelta> deltas = IndexModel.RandomDeltas(seed, 400, items: 1 + random.Next(30));
            IndexDelta[] shuffled = [.. deltas, .. deltas.Where(_ => random.Next(3) == 0)];
            random.Shuffle(shuffled);
            LiveIndex index = Make.Index(IndexShapes.Options(shape));
            var model = new IndexModel();

            deltas.ForEach(model.Apply);
            foreach (IndexDelta delta in shuffled) index.Apply(delta, out _);

            model.AssertSame(index);
            Assert.Equal(400ul, index.Sequence);
        }
    }

    [Theory]
    [InlineData("upsert 1, delete 2", "")]
    [InlineData("upsert 3, delete 2", "3/3/3")]
    [InlineData("upsert 1, engage 3, restrict 2", "1/3/2")]
    [InlineData("upsert 1, engage 3, upsert 2", "2/3/2")]
    [InlineData("upsert 1, restrict 4, delete 2, engage 5, upsert 3", "3/5/4")]
    [InlineData("upsert 1, delete 2, engage 3", "")]
    [InlineData("upsert 1, delete 3, upsert 2, engage 4", "")]
    public void Every_order_of_a_few_deltas_gives_the_parts_that_came_last(string log, string expected)
    {
        IndexDelta[] deltas = [.. log.Split(", ").Select(text => text.Split(' ')).Select(parts => Delta(parts[0], ulong.Parse(parts[1])))];
        foreach (IndexDelta[] order in Orders(deltas))
        {
            LiveIndex index = Make.Index();
            foreach (IndexDelta delta in order) index.Apply(delta, out _);

            string found = index.Find("a") is { } state ? $"{state.Versions.Facts}/{state.Versions.Counters}/{state.Versions.Eligibility}" : "";
            Assert.Equal((expected, string.Join(' ', order.Select(delta => delta.Sequence))), (found, string.Join(' ', order.Select(delta => delta.Sequence))));
        }
    }

    [Fact]
    public void A_deleted_item_is_not_brought_back_by_an_older_upsert_however_late_it_is()
    {
        LiveIndex index = Make.Index(new RetrievalOptions { ReorderMax = 100, ReplayBatchMax = 100 });
        index.Apply(Make.Upsert(1, Make.Row("a")), out _);
        index.Apply(Make.Delete(3, "a"), out _);

        index.Apply(Make.Upsert(2, Make.Row("a")), out _);
        Assert.Null(index.Find("a"));
        for (ulong sequence = 4; sequence < 500; sequence++) index.Apply(Make.Upsert(sequence, Make.Row("other")), out _);
        Assert.Equal(Applied.Unchanged, index.Apply(Make.Upsert(2, Make.Row("a")), out _));

        Assert.Null(index.Find("a")); // the tombstone is gone by now, and with it the window in which a delta may be late
        index.Apply(Make.Upsert(500, Make.Row("a")), out _);
        Assert.NotNull(index.Find("a"));
    }

    [Fact]
    public void What_is_known_of_absent_items_is_bounded_by_the_window()
    {
        var absent = new AbsentItems(disorderMax: 50);
        for (ulong sequence = 1; sequence <= 10_000; sequence++)
        {
            absent.Delete($"item-{sequence}", sequence);
            absent.Engage("the same", new Counters(), sequence);
            absent.Advance(sequence);
            Assert.InRange(absent.Count, 1, 51);
        }

        Assert.Null(absent.Find("item-9900"));
        Assert.Equal(10_000ul, absent.Find("item-10000")!.DeletedAt);
        absent.Delete("far too late", 1);
        Assert.Null(absent.Find("far too late"));
    }

    private static IndexDelta Delta(string kind, ulong sequence) => kind switch
    {
        "upsert" => Make.Upsert(sequence, Make.Row("a", likes: sequence)),
        "delete" => Make.Delete(sequence, "a"),
        "engage" => Make.Engage(sequence, "a", sequence),
        _ => Make.Restrict(sequence, "a", new Eligibility { Safety = $"{sequence}" }),
    };

    private static IEnumerable<IndexDelta[]> Orders(IndexDelta[] deltas) => deltas.Length <= 1
        ? [deltas]
        : deltas.SelectMany(first => Orders([.. deltas.Where(delta => delta != first)]).Select(rest => (IndexDelta[])[first, .. rest]));
}
