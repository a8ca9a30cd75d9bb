using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Retrieval.Tests;

/// <summary>Masks of filters that come again. <see cref="ClusteredStressTests"/> has writers beside them.</summary>
public sealed class KeptMaskTests
{
    private const string Filter = "(tag:tag-1 OR tag:tag-2 OR author:author-3) AND NOT language:de";

    [Fact]
    public void A_filter_that_comes_again_sees_every_change()
    {
        var random = new Random(31);
        (LiveIndex clustered, LiveIndex flat) = (Make.Index(IndexShapes.Options(IndexShapes.Probing)), Make.Index(IndexShapes.Options(IndexShapes.Flat)));
        RowFilter filter = Catalogue.Filter(Filter);
        ulong sequence = 0;
        for (int round = 0; round < 400; round++)
        {
            for (int i = 0; i < (round == 0 ? 3_000 : 3); i++)
            {
                IndexDelta delta = RandomDelta(random, ++sequence);
                clustered.Apply(delta, out _);
                flat.Apply(delta, out _);
            }

            var query = new QueryVectors(Make.RandomVector(random), 4);
            Assert.Equal(Ids(flat, query, filter), Ids(clustered, query, filter));
        }

        Assert.True(((ClusteredVectorIndex)clustered.Vectors).Filters.Masks!.Bytes > 0, "no mask was kept, so none was tested");
    }

    [Theory]
    [InlineData(Filter, 1, false)]
    [InlineData(Filter, 2, true)]
    [InlineData("tag:tag-1", 3, false)]
    [InlineData("", 3, false)]
    public void Masks_are_kept_of_filters_that_come_again_and_cost_something(string text, int searches, bool isKept)
    {
        LiveIndex index = Filled(new RetrievalOptions());
        RowFilter filter = Catalogue.Filter(text);

        for (int i = 0; i < searches; i++) Search(index, filter);

        Assert.Equal(isKept, ((ClusteredVectorIndex)index.Vectors).Filters.Masks!.Bytes > 0);
    }

    [Fact]
    public void Past_the_memory_for_them_no_more_masks_are_kept_and_answers_stay_right()
    {
        LiveIndex index = Filled(new RetrievalOptions { FilterMaskMegabytesMax = 1, ExactRowsMax = 0 });
        FilterRows rows = ((ClusteredVectorIndex)index.Vectors).Filters;
        RowFilter[] filters = [.. Enumerable.Range(0, 1_200).Select(i => Catalogue.Filter($"{Filter} AND NOT tag:other-{i}"))];
        int expected = Search(index, RowFilter.Visible).Count(hit => filters[0].Admits(hit.State));
        foreach (RowFilter filter in filters)
        {
            for (int i = 0; i < 3; i++) Assert.Equal(expected, Search(index, filter).Count);
        }

        Assert.InRange(rows.Masks!.Bytes, 500_000, 1 << 20);
    }

    [Fact]
    public void Masks_make_room_for_others_once_they_were_not_used_for_a_while_the_oldest_first()
    {
        var clock = new FakeTimeProvider();
        var chunk = new FilterChunk(0, 0, slots: 4_096, bloomBits: 64, exactRows: 4);
        FilterBits bits = chunk.TryTake(4_096)!;
        var budget = new MaskBudget(2 * new KeptMask(chunk).Bytes, clock);
        PlanMasks[] plans = [.. Enumerable.Range(0, 4).Select(_ => new PlanMasks(budget))];
        Assert.NotNull(plans[0].Use().Of(bits));
        clock.Advance(TimeSpan.FromMilliseconds(10));
        Assert.NotNull(plans[1].Use().Of(bits));
        Assert.Null(plans[2].Use().Of(bits)); // both are in use

        clock.Advance(TimeSpan.FromMilliseconds(MaskBudget.SettledMs));
        KeptMask? first = plans[1].Use().Of(bits);
        Assert.NotNull(plans[3].Use().Of(bits)); // in the place of 0's

        Assert.Same(first, plans[1].Of(bits));
        Assert.Null(plans[0].Use().Of(bits));
        Assert.Equal(2 * new KeptMask(chunk).Bytes, budget.Bytes);
    }

    [Fact]
    public void Without_memory_for_masks_none_are_kept()
    {
        LiveIndex index = Filled(new RetrievalOptions { FilterMaskMegabytesMax = 0 });
        RowFilter filter = Catalogue.Filter(Filter);

        Assert.NotEmpty(Search(index, filter));
        Assert.Equal(Search(index, filter).Count, Search(index, filter).Count);
        Assert.Null(((ClusteredVectorIndex)index.Vectors).Filters.Masks);
    }

    [Fact]
    public void A_mask_whose_version_has_passed_is_neither_put_down_nor_read()
    {
        var chunk = new FilterChunk(0, 0, slots: 128, bloomBits: 64, exactRows: 4);
        FilterBits bits = chunk.TryTake(64)!, other = chunk.TryTake(64)!;
        var kept = new KeptMask(chunk);
        ulong[] mask = [0];
        int before = bits.BeginRead();
        kept.Keep(bits, [5], 2, before);
        kept.Keep(other, [7], 3, other.BeginRead());
        Assert.True(kept.TryRead(bits, mask, out int admitted, out int version));
        Assert.Equal((5ul, 2, before), (mask[0], admitted, version));

        bits.Kill(0);

        Assert.False(kept.TryRead(bits, mask, out _, out _));
        kept.Keep(bits, [4], 1, before); // a slow search
        Assert.False(kept.TryRead(bits, mask, out _, out _));
        kept.Keep(bits, [4], 1, bits.BeginRead());
        Assert.True(kept.TryRead(bits, mask, out _, out _));
        Assert.Equal(4ul, mask[0]);
        Assert.True(kept.TryRead(other, mask, out _, out _));
        Assert.Equal(7ul, mask[0]);
    }

    private static LiveIndex Filled(RetrievalOptions options)
    {
        var random = new Random(32);
        LiveIndex index = Make.Index(options);
        for (ulong sequence = 1; sequence <= 2_000; sequence++) index.Apply(Make.Upsert(sequence, IndexModel.RandomRow(random, $"item-{sequence}")), out _);
        return index;
    }

    private static List<RowHit> Search(LiveIndex index, RowFilter filter) =>
        index.Vectors.Search(new QueryVectors([1, 0, 0, 0], 4), 4_000, filter, CancellationToken.None);

    private static IEnumerable<string> Ids(LiveIndex index, QueryVectors query, RowFilter filter) =>
        index.Vectors.Search(query, 4_000, filter, CancellationToken.None).Select(hit => hit.State.Facts.ItemId).Order(StringComparer.Ordinal);

    private static IndexDelta RandomDelta(Random random, ulong sequence)
    {
        string id = $"item-{random.Next(2_000)}";
        return random.Next(6) switch
        {
            0 => Make.Delete(sequence, id),
            1 => Make.Restrict(sequence, id, new Eligibility { Hidden = random.Next(2) == 0 }),
            _ => Make.Upsert(sequence, IndexModel.RandomRow(random, id)),
        };
    }
}
