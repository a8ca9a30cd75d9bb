using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

public sealed class BitPlanTests
{
    private const int Items = 3_000;

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void What_a_filter_admits_by_its_bits_is_what_it_admits_row_by_row(int seed)
    {
        var random = new Random(seed);
        (LiveIndex index, IndexModel model) = RandomIndex(random);
        var vectors = (ClusteredVectorIndex)index.Vectors;
        Assert.InRange(vectors.Filters.FrequentValues, 5, 60); // tags, authors, languages; not the 300 rare ones
        var query = new QueryVectors([1, 0, 0, 0], 4);

        for (int round = 0; round < 150; round++)
        {
            FilterExpression expression = FilterExpression.Random(random, depth: 8);
            RowFilter filter = Catalogue.Filter(expression.Print(random));

            IEnumerable<string> found = vectors.Search(query, Items, filter, CancellationToken.None).Select(hit => hit.State.Facts.ItemId);
            Assert.Equal(
                model.Rows.Keys.Where(id => index.Find(id) is { } state && !state.Eligibility.Hidden && expression.Holds(state)).Order(StringComparer.Ordinal),
                found.Order(StringComparer.Ordinal));
        }
    }

    [Theory]
    [InlineData("tag:tag-1")]
    [InlineData("NOT tag:tag-1")]
    [InlineData("tag:tag-1 AND NOT (language:EN OR author:author-3)")]
    [InlineData("NOT (tag:tag-1 AND attribute.colour:red) OR NOT NOT language:de")]
    [InlineData("tag:tag-0 OR tag:tag-1 OR tag:tag-2 OR tag:tag-3 OR tag:tag-4")]
    public void Filters_of_frequent_values_leave_nothing_to_check(string filter)
    {
        (LiveIndex index, _) = RandomIndex(new Random(4));

        (int admitted, int held) = Compare(index, filter);

        Assert.Equal(held, admitted);
    }

    [Theory]
    [InlineData("tag:rare-3", 0.001)]
    [InlineData("item:item-5", 0.001)]
    [InlineData("tag:nowhere", 0.001)]
    [InlineData("tag:rare-3 OR tag:rare-4 OR tag:tag-1", 0.001)]
    [InlineData("NOT tag:rare-3", 0.05)]
    [InlineData("NOT (tag:rare-3 OR tag:tag-1)", 0.05)]
    public void Filters_of_rare_values_leave_little_to_check(string filter, double falselyAdmittedMax)
    {
        (LiveIndex index, _) = RandomIndex(new Random(5));

        (int admitted, int held) = Compare(index, filter);

        Assert.InRange(admitted, held, held + (falselyAdmittedMax * Items));
    }

    [Theory]
    [InlineData("tag:tag-1", 0.05)]
    [InlineData("NOT tag:tag-1", 0.05)]
    [InlineData("language:en AND attribute.colour:red", 0.1)]
    [InlineData("language:en OR attribute.colour:red", 0.1)]
    [InlineData("item:item-5", 0.01)]
    [InlineData("", 0.001)]
    public void The_share_that_passes_is_estimated_from_the_rows(string filter, double errorMax)
    {
        (LiveIndex index, _) = RandomIndex(new Random(6));

        (_, int held) = Compare(index, filter);
        double estimate = BitPlan.For(Catalogue.Filter(filter).Plan, ((ClusteredVectorIndex)index.Vectors).Filters).PassShare;

        Assert.InRange(estimate, (held / (double)index.Items) - errorMax, (held / (double)index.Items) + errorMax);
    }

    [Fact]
    public void A_value_that_becomes_frequent_later_has_the_rows_that_had_it_before()
    {
        LiveIndex index = Make.Index();
        ulong sequence = 0;
        for (int i = 0; i < 6_000; i++)
        {
            string[] tags = i % 500 == 0 || i > 3_000 ? ["late"] : [];
            index.Apply(Make.Upsert(++sequence, Make.Row($"item-{i}", author: $"author-{i}", tags: tags)), out _);
        }

        (int admitted, int held) = Compare(index, "tag:late");

        Assert.Equal(held, admitted); // of an exact row
        Assert.Equal(2_999 + 7, held);
    }

    [Fact]
    public void More_frequent_values_than_there_are_rows_for_stay_in_the_signatures()
    {
        var options = new RetrievalOptions { FrequentValuesMax = 3, BloomBits = 64, BloomHashes = 2 };
        LiveIndex index = Make.Index(options);
        for (int i = 0; i < Items; i++) index.Apply(Make.Upsert((ulong)i + 1, Make.Row($"item-{i}", $"author-{i % 40}", tags: [$"tag-{i % 20}"])), out _);

        Assert.Equal(3, ((ClusteredVectorIndex)index.Vectors).Filters.FrequentValues);
        foreach (string filter in (string[])["tag:tag-7", "author:author-39 OR tag:tag-2", "NOT author:author-0"])
        {
            (int admitted, int held) = Compare(index, filter);
            Assert.InRange(admitted, held, Items);
            Assert.Equal(held, index.Vectors.Search(new QueryVectors([1, 0, 0, 0], 4), Items, Catalogue.Filter(filter), CancellationToken.None).Count);
        }
    }

    // Slots that the bits admit, and rows that the filter does; of the latter none may be missing.
    private static (int Admitted, int Held) Compare(LiveIndex index, string filter)
    {
        RowFilter exact = Catalogue.Filter(filter);
        var vectors = (ClusteredVectorIndex)index.Vectors;
        var plan = BitPlan.For(exact.Plan, vectors.Filters);
        int admitted = 0, held = 0;
        ulong[] mask = new ulong[Segment.RowsMax / 64];
        foreach (Segment segment in vectors.Segments)
        {
            Assert.True(plan.TryAdmit(segment.Filter, mask.AsSpan(0, segment.Filter.Words), out int here, out _));
            admitted += here;
            for (int place = 0; place < segment.Capacity; place++)
            {
                if (segment[place].Row?.State is not { } state || state.Slot != segment[place].Slot || !exact.Admits(state)) continue;
                held++;
                Assert.Equal(1ul, mask[place / 64] >> (place % 64) & 1);
            }

        }

        return (admitted, held);
    }

    // Items that came, changed in place, moved and went, under few and under rare values.
    private static (LiveIndex Index, IndexModel Model) RandomIndex(Random random)
    {
        LiveIndex index = Make.Index();
        var model = new IndexModel();
        for (ulong sequence = 1; sequence <= 2 * Items; sequence++)
        {
            string id = $"item-{random.Next(Items)}";
            ItemRow row = IndexModel.RandomRow(random, id);
            row.Item.AuthorId = $"author-{random.Next(8) * random.Next(12)}";
            if (random.Next(8) == 0) row.Item.Tags.Add($"rare-{random.Next(300)}");
            if (random.Next(3) == 0) row.Embedding = Make.Bytes([1, 0, 0, 0]); // often the vector that the item has already
            row.Eligibility = new Eligibility { Hidden = random.Next(20) == 0, Safety = random.Next(2) == 0 ? "safe" : "" };
            IndexDelta delta = random.Next(12) switch
            {
                0 => Make.Delete(sequence, id),
                1 => Make.Restrict(sequence, id, row.Eligibility),
                2 => Make.Engage(sequence, id, 3),
                _ => Make.Upsert(sequence, row),
            };
            index.Apply(delta, out _);
            model.Apply(delta);
        }

        return (index, model);
    }
}
