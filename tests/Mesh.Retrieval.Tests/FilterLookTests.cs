using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>Values that become frequent while the index serves: their exact rows are filled in slices, between deltas.</summary>
public sealed class FilterLookTests
{
    private const int Items = 3_000;

    private static readonly string[] Asked =
    [
        "tag:late-a", "NOT tag:late-a", "tag:late-a AND NOT tag:late-b", "tag:late-a OR tag:late-b", "NOT (tag:late-a OR tag:late-b) AND language:en",
        "safety:odd AND tag:late-b", "tag:first",
    ];

    [Theory, InlineData(1), InlineData(2)]
    public void Searches_during_a_look_find_what_flat_search_finds_whatever_the_deltas_change(int seed)
    {
        var random = new Random(seed);
        (LiveIndex index, LiveIndex flat, FilterRows rows) = Started();
        ulong sequence = Items;
        int compared = 0;
        while (!rows.TryFindRow(Tag("late-b"), out _))
        {
            IndexDelta delta = Next(++sequence, random, flat);
            bool wasLooking = rows.IsLooking;
            Assert.Equal(flat.Apply(delta, out _), index.Apply(delta, out _));
            Assert.True(!rows.TryFindRow(Tag("late-b"), out _) || (wasLooking && !rows.IsLooking), "told before the row was whole");
            if (!wasLooking) continue;
            AssertSame(flat, index);
            compared++;
        }

        Assert.InRange(compared, Items / FilterRows.SliceSlots, 400); // the slices of a fill, and deltas between that do not publish
        AssertSame(flat, index);
        AssertCounts(flat, rows, "late-a", "late-b", "first");
    }

    [Fact]
    public void A_value_that_all_rows_lose_during_the_look_has_an_empty_row()
    {
        (LiveIndex index, LiveIndex flat, FilterRows rows) = Started();
        ulong sequence = Items;
        int generation = rows.Generation;
        for (int i = 0; !rows.IsLooking; i++) Both(Make.Upsert(++sequence, Row(i % Items, ["late-a"], flat)));
        string[] late = [.. flat.Vectors.Live().Where(live => live.State.Facts.Tags.Contains("late-a")).Select(live => live.State.Facts.ItemId)];

        for (int i = 0; i < late.Length; i++) Both(i % 2 == 0 ? Make.Delete(++sequence, late[i]) : Make.Upsert(++sequence, Row(int.Parse(late[i][5..]), [], flat)));
        while (rows.IsLooking) Both(Make.Upsert(++sequence, Row(0, [], flat)));

        Assert.Equal(generation + 1, rows.Generation);
        AssertCounts(flat, rows, "late-a");
        AssertSame(flat, index);
        Both(Make.Upsert(++sequence, Row(5, ["late-a"], flat)));
        AssertCounts(flat, rows, "late-a");
        AssertSame(flat, index);

        void Both(IndexDelta delta)
        {
            index.Apply(delta, out _);
            flat.Apply(delta, out _);
        }
    }

    [Fact]
    public void The_same_deltas_give_the_same_rows()
    {
        List<int[]> found = [];
        for (int run = 0; run < 2; run++)
        {
            (LiveIndex index, _, FilterRows rows) = Started();
            var random = new Random(7);
            for (ulong sequence = Items; !rows.TryFindRow(Tag("late-b"), out _);) index.Apply(Next(++sequence, random, index), out _);
            found.Add([.. ((string[])["first", "late-a", "late-b"]).Select(tag => rows.TryFindRow(Tag(tag), out int row) ? row : -1)]);
        }

        Assert.Equal(found[0], found[1]);
        Assert.DoesNotContain(-1, found[0]);
    }

    [Fact]
    public void A_write_waits_for_one_slice_of_a_look_and_a_look_for_the_one_before()
    {
        const int Slots = 300_032;
        var rows = new FilterRows(new FilterShape(64, 2, 0.002, 200));
        var slots = new Slices(Slots, chunks: 5, rows) { Every = 64 };
        int looks = 0, steps = 0;
        for (int write = 0; write < 4_000; write++)
        {
            bool wasLooking = rows.IsLooking;
            slots.Begin();
            rows.GoOn(slots);
            if (rows.IsLooking && !wasLooking) looks++;
            if (rows.IsLooking || wasLooking) steps++;
            Assert.InRange(slots.Looked, 0, FilterRows.SliceSlots);
            Assert.InRange(slots.Grown, 0, 1);
            Assert.True(slots.Looked == 0 || slots.Grown == 0);
        }

        // A look takes more than the 1,024 writes after which another would begin; those find nothing new.
        Assert.InRange(steps, Slots / FilterRows.SliceSlots, 2 * Slots / FilterRows.SliceSlots);
        Assert.InRange(looks, 2, 4_000 / 1_024);
        Assert.Equal(103, rows.FrequentValues); // the tags; no author, no language and no safety
        Assert.True(rows.TryFindRow(Tag("tag-99"), out int row));
        Assert.Equal(slots.Live, rows.Count(row));
        Assert.Equal(5 * rows.Capacity, slots.Room.Sum());
    }

    [Fact]
    public void A_slot_that_its_row_had_left_before_the_look_is_filled_and_not_counted()
    {
        var rows = new FilterRows(new FilterShape(64, 2, 0.002, 200));
        var slots = new Slices(2_000, chunks: 1, rows) { Gone = 1_500, Every = 1 };
        for (int write = 0; rows.Generation == 0 && write < 10_000; write++)
        {
            slots.Begin();
            rows.GoOn(slots);
        }

        Assert.True(rows.TryFindRow(Tag("tag-0"), out int row));
        Assert.Contains((1_500, row), slots.Bits);
        Assert.Equal(slots.Live, rows.Count(row));
    }

    // Items that know nothing of the late tags, in both indexes; the next look begins some 1,024 writes later.
    private static (LiveIndex Index, LiveIndex Flat, FilterRows Rows) Started()
    {
        LiveIndex index = Make.Index(IndexShapes.Options(IndexShapes.Exact)), flat = Make.Index(IndexShapes.Options(IndexShapes.Flat));
        FilterRows rows = ((ClusteredVectorIndex)index.Vectors).Filters;
        for (int i = 0; i < Items; i++)
        {
            IndexDelta delta = Make.Upsert((ulong)i + 1, Row(i, i % 2 == 0 ? ["first"] : [], flat));
            index.Apply(delta, out _);
            flat.Apply(delta, out _);
        }

        Assert.False(rows.IsLooking);
        Assert.True(rows.TryFindRow(Tag("first"), out _));
        return (index, flat, rows);
    }

    // Tags, with the vector that the row has or another; now and then a deletion, or another safety.
    private static IndexDelta Next(ulong sequence, Random random, LiveIndex flat)
    {
        int item = random.Next(Items);
        if (random.Next(10) == 0) return Make.Delete(sequence, $"item-{item}");
        if (random.Next(10) == 0) return Make.Restrict(sequence, $"item-{item}", new Eligibility { Safety = random.Next(2) == 0 ? "odd" : "even", Hidden = random.Next(5) == 0 });
        string[] tags = [.. ((string[])["late-a", "late-b", "first", "late-a"]).Where(_ => random.Next(2) == 0)]; // one twice now and then
        return Make.Upsert(sequence, Row(item, tags, random.Next(2) == 0 ? flat : null, (int)sequence));
    }

    // The vector that the item has in an index; by a seed where it has none.
    private static ItemRow Row(int item, string[] tags, LiveIndex? held, int seed = 0)
    {
        float[] vector = held?.Find($"item-{item}") is { } state ? held.VectorOf(state).ToArray() : Make.RandomVector(new Random(item + (17 * seed)));
        ItemRow row = Make.Row($"item-{item}", $"author-{item % 500}", codes: [(uint)(item % 7)], tags: tags, language: item % 3 == 0 ? "en" : "de");
        row.Embedding = Make.Bytes(vector);
        return row;
    }

    private static void AssertSame(LiveIndex flat, LiveIndex index)
    {
        var query = new QueryVectors(Make.RandomVector(new Random(3)), Make.Dimensions);
        foreach (string filter in Asked)
        {
            RowFilter asked = Catalogue.Filter(filter);
            Assert.Equal(
                flat.Vectors.Search(query, 2 * Items, asked, CancellationToken.None).Select(hit => hit.State.Facts.ItemId).Order(StringComparer.Ordinal),
                index.Vectors.Search(query, 2 * Items, asked, CancellationToken.None).Select(hit => hit.State.Facts.ItemId).Order(StringComparer.Ordinal));
        }
    }

    private static void AssertCounts(LiveIndex flat, FilterRows rows, params string[] tags)
    {
        foreach (string tag in tags)
        {
            Assert.True(rows.TryFindRow(Tag(tag), out int row), tag);
            Assert.Equal(flat.Vectors.Live().Count(live => live.State.Facts.Tags.Contains(tag)), rows.Count(row));
        }
    }

    private static FilterValue Tag(string tag) => new(FilterField.Tag, "", tag);

    /// <summary>Slots that count what is asked of them: one of every few holds a row, with a hundred tags that all have.</summary>
    private sealed class Slices(int slots, int chunks, FilterRows rows) : IFiltered
    {
        private static readonly ItemFacts Facts = new(new Item { ItemId = "item", Tags = { Enumerable.Range(0, 100).Select(i => $"tag-{i}") } }, []);

        public int Looked { get; private set; }

        public int Grown { get; private set; }

        /// <summary>A slot whose row has left it; -1 is none.</summary>
        public int Gone { get; init; } = -1;

        public int Every { get; init; }

        public int Live => (slots / Every) - (Gone < 0 ? 0 : 1);

        public int[] Room { get; } = new int[chunks];

        public HashSet<(int Slot, int Row)> Bits { get; } = [];

        public int Slots => slots;

        public int Chunks => Room.Length;

        public void Begin() => (Looked, Grown) = (0, 0);

        public RowState? LiveAt(int slot)
        {
            Looked++;
            return slot == Gone || slot % Every != 0 ? null : State(slot);
        }

        public RowState[] Left() => Gone < 0 ? [] : [State(Gone)];

        public void GrowExact(int chunk, int rows)
        {
            Grown++;
            Room[chunk] = rows;
        }

        public bool Backfill(int slot, int row)
        {
            Assert.InRange(row, FilterBits.FixedRows, rows.Capacity - 1);
            Assert.Equal(Room, Enumerable.Repeat(rows.Capacity, Room.Length));
            return Bits.Add((slot, row));
        }

        private static RowState State(int slot) => new(Facts, new Counters(), new Eligibility(), 1, slot);
    }
}
