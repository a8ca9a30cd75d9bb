using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>One catalogue of 60,000 items in all indexes, made once.</summary>
public sealed class CatalogueFixture
{
    internal Catalogue Catalogue { get; } = new(60_000, centres: 400, codes: 64, seed: 3);

    internal FlatVectorIndex Flat { get; } = new(100_000);

    internal ClusteredVectorIndex Clustered { get; } = New(Make.Options);

    /// <summary>By two codes, with room for a part of the prefixes that there are.</summary>
    internal ClusteredVectorIndex ByTwoCodes { get; } = New(new RetrievalOptions { CoarseLevels = 2, ClustersMax = 512 });

    public CatalogueFixture()
    {
        Catalogue.Fill(Flat);
        Catalogue.Fill(Clustered);
        Catalogue.Fill(ByTwoCodes);
    }

    internal static ClusteredVectorIndex New(RetrievalOptions options) => new(100_000, IndexLimits.From(options).Clusters);
}

public sealed class ClusteredIndexTests(CatalogueFixture fixture) : IClassFixture<CatalogueFixture>
{
    private const int Wanted = 100;

    [Theory]
    [InlineData("tag:pass-0.1", 1)]
    [InlineData("tag:pass-1", 1)]
    [InlineData("tag:pass-10", 1)]
    [InlineData("tag:pass-50", 0.99)]
    [InlineData("NOT tag:pass-50 AND (language:en OR tag:pass-10)", 0.99)]
    [InlineData("", 0.99)]
    public void Recall_against_exact_search_holds_at_every_pass_rate(string filter, double recallMin)
    {
        foreach (ClusteredVectorIndex index in (ClusteredVectorIndex[])[fixture.Clustered, fixture.ByTwoCodes])
        {
            (int found, int expected) = Recall(index, searches: 40, queries: 1, Catalogue.Filter(filter));

            Assert.InRange(found, recallMin * expected, expected);
        }
    }

    [Fact]
    public void Clusters_of_more_codes_make_a_probe_look_at_fewer_rows()
    {
        QueryVectors query = fixture.Catalogue.Queries(1);
        ClusterShape one = fixture.Clustered.Shape with { ExactRowsMax = 0, ProbesMin = 1, RowsPerResult = 1 };

        HashSet<string> byOne = [.. fixture.Clustered.Search(query, 10, RowFilter.Visible, one, CancellationToken.None).Select(hit => string.Join('-', hit.State.Facts.Codes))];
        HashSet<string> byTwo = [.. fixture.ByTwoCodes.Search(query, 10, RowFilter.Visible, one, CancellationToken.None).Select(hit => string.Join('-', hit.State.Facts.Codes))];

        Assert.Equal(512, fixture.ByTwoCodes.Clusters.Length);
        Assert.True(byTwo.Count <= byOne.Count, $"{byTwo.Count} prefixes by two codes, {byOne.Count} by one");
        Assert.Equal(64, fixture.Clustered.Clusters.Length);
    }

    [Theory]
    [InlineData(2, "")]
    [InlineData(16, "")]
    [InlineData(5, "tag:pass-50 AND language:en")]
    [InlineData(16, "tag:pass-1")]
    [InlineData(70, "tag:pass-10")]
    public void Queries_that_share_the_scan_find_what_each_finds_alone(int queries, string filter)
    {
        QueryVectors together = fixture.Catalogue.Queries(queries);
        RowFilter rows = Catalogue.Filter(filter);

        List<RowHit>[] found = fixture.Clustered.SearchEach(together, Wanted, rows, CancellationToken.None);

        Assert.Equal(queries, found.Length);
        foreach ((QueryVectors one, int q) in together.Each().Select((one, q) => (one, q)))
        {
            List<RowHit> alone = fixture.Clustered.Search(one, Wanted, rows, CancellationToken.None);
            Assert.Equal(Wanted, found[q].Count);
            Assert.InRange(found[q].Intersect(alone).Count(), 99, Wanted); // bytes of others may come in an order that cuts off elsewhere
        }
    }

    [Theory]
    [InlineData(1, 100, "")]
    [InlineData(1, 1_024, "tag:pass-50 AND language:en")]
    [InlineData(3, 100, "tag:pass-10")]
    [InlineData(1, 1_024, "tag:pass-1 OR tag:pass-0.1")]
    public void Threads_that_share_a_search_find_what_one_finds(int queries, int k, string filter)
    {
        ClusterShape alone = fixture.Clustered.Shape with { ExactRowsMax = 2_000, ProbesMin = 48 }, shared = alone with { Threads = 3 };
        RowFilter rows = Catalogue.Filter(filter);
        for (int i = 0; i < 20; i++)
        {
            QueryVectors query = fixture.Catalogue.Queries(queries);

            List<RowHit> expected = fixture.Clustered.Search(query, k, rows, alone, CancellationToken.None);

            Assert.Equal(expected, fixture.Clustered.Search(query, k, rows, shared, CancellationToken.None), SameRow);
        }
    }

    [Theory, InlineData(2), InlineData(3), InlineData(6)]
    public void Several_query_vectors_find_what_is_closest_to_any_of_them(int queries)
    {
        (int found, int expected) = Recall(fixture.Clustered, searches: 10, queries, RowFilter.Visible);

        Assert.InRange(found, 0.99 * expected, expected);
    }

    [Theory]
    [InlineData("tag:pass-1")]
    [InlineData("tag:pass-10 AND NOT language:de")]
    [InlineData("tag:pass-50")]
    public void To_filter_and_then_probe_finds_what_to_probe_and_then_filter_finds(string filter)
    {
        ClusteredVectorIndex index = CatalogueFixture.New(new RetrievalOptions { ExactRowsMax = 100, ProbesMin = 20, RowsPerResult = 1 });
        var all = new Catalogue(12_000, centres: 50, codes: 32, seed: 5);
        all.Fill(index);
        RowFilter rows = Catalogue.Filter(filter);

        for (int i = 0; i < 10; i++)
        {
            QueryVectors query = all.Queries(1);
            List<RowHit> filtered = index.Search(query, 20, rows, CancellationToken.None);
            List<RowHit> probed = index.Search(query, 4_000, RowFilter.Visible, CancellationToken.None);

            Assert.Equal(20, filtered.Count);
            Assert.Equal(probed.Where(hit => rows.Admits(hit.State)).Take(20).Select(hit => hit.State.Facts.ItemId), filtered.Select(hit => hit.State.Facts.ItemId));
        }
    }

    [Fact]
    public void Excluded_items_displace_no_others_from_the_limit()
    {
        QueryVectors query = fixture.Catalogue.Queries(1);
        List<RowHit> best = fixture.Flat.Search(query, 3_000, RowFilter.Visible, CancellationToken.None);
        var past = new RowFilter(new ItemHashSet([.. best.Take(2_900).Select(hit => hit.State.Facts.Hash)]), Audience.Anyone, FilterPlan.All);

        List<RowHit> found = fixture.Clustered.Search(query, Wanted, past, CancellationToken.None);

        Assert.Equal(Wanted, found.Count);
        Assert.InRange(found.Select(hit => hit.State.Facts.ItemId).Intersect(best.Skip(2_900).Select(hit => hit.State.Facts.ItemId)).Count(), 95, Wanted);
    }

    [Fact]
    public void Items_that_the_viewer_may_not_see_displace_no_others_from_the_limit()
    {
        ClusteredVectorIndex index = CatalogueFixture.New(new RetrievalOptions { ExactRowsMax = 100, ProbesMin = 4 });
        var flat = new FlatVectorIndex(20_000);
        var all = new Catalogue(9_000, centres: 50, codes: 32, seed: 8);
        foreach (IVectorIndex one in (IVectorIndex[])[index, flat]) all.Fill(one, number => new Eligibility { Languages = { number % 30 == 0 ? "fr" : "en" } });
        var french = new RowFilter(ItemHashSet.Empty, new Audience("fr", ""), FilterPlan.All);
        QueryVectors query = all.Queries(1);

        List<RowHit> some = index.Search(query, 40, french, CancellationToken.None);
        List<RowHit> more = index.Search(query, 1_000, french, CancellationToken.None);

        Assert.Equal(40, some.Count);
        Assert.Equal(flat.Search(query, 1_000, french, CancellationToken.None), more, SameRow); // all 300 that there are
    }

    [Fact]
    public void A_misjudged_filter_names_no_row_twice()
    {
        // The two tags go together, so 200 rows pass where 2,000 x 0.1 x 0.1 = 20 are expected: the exact way is begun and left.
        ClusteredVectorIndex index = CatalogueFixture.New(new RetrievalOptions { ExactRowsMax = 20, ProbesMin = 1_000 });
        var flat = new FlatVectorIndex(2_000);
        var all = new Catalogue(2_000, centres: 50, codes: 32, seed: 9, number => number % 10 == 0 ? ["one", "two"] : []);
        foreach (IVectorIndex one in (IVectorIndex[])[index, flat]) all.Fill(one);
        RowFilter both = Catalogue.Filter("tag:one AND tag:two");
        QueryVectors query = all.Queries(1);

        Assert.Equal(flat.Search(query, 50, both, CancellationToken.None), index.Search(query, 50, both, CancellationToken.None), SameRow);
    }

    [Theory, InlineData(1, ""), InlineData(1, "tag:pass-50"), InlineData(3, "")]
    public void Probing_goes_on_while_the_farther_clusters_give_much(int queries, string filter)
    {
        // Vectors without structure, in clusters that say nothing of them.
        var random = new Random(12);
        ClusterShape shape = IndexLimits.From(new RetrievalOptions { ExactRowsMax = 100, ProbesMin = 4, RowsPerResult = 1 }).Clusters;
        ClusteredVectorIndex index = new(20_000, shape);
        var flat = new FlatVectorIndex(20_000);
        for (int i = 0; i < 10_000; i++)
        {
            var item = new Item { ItemId = $"item-{i}" };
            if (random.Next(2) == 0) item.Tags.Add("pass-50");
            var facts = new ItemFacts(item, [(uint)random.Next(64)]);
            float[] vector = Make.RandomVector(random, 16);
            foreach (IVectorIndex one in (IVectorIndex[])[index, flat])
            {
                var row = new Row();
                row.State = new RowState(facts, new Counters(), new Eligibility(), (ulong)i + 1, one.Upsert(row, facts, new Eligibility(), vector));
                one.Publish();
            }
        }

        var query = new QueryVectors([.. Enumerable.Range(0, queries).SelectMany(_ => Make.RandomVector(random, 16))], 16);
        RowFilter rows = Catalogue.Filter(filter);
        HashSet<string> expected = [.. flat.Search(query, Wanted, rows, CancellationToken.None).Select(hit => hit.State.Facts.ItemId)];
        int Found(ClusterShape with) => index.Search(query, Wanted, rows, with, CancellationToken.None).Count(hit => expected.Contains(hit.State.Facts.ItemId));

        Assert.InRange(Found(shape), 99, Wanted);
        Assert.InRange(Found(shape with { FarShareMax = 1 }), 1, 60);
        Assert.All(index.SearchEach(query, Wanted, rows, CancellationToken.None), (found, q) => Assert.Equal(
            index.Search(query.Each().ElementAt(q), Wanted, rows, CancellationToken.None), found, SameRow));
    }

    [Fact]
    public void Probing_goes_on_until_the_limit_is_filled()
    {
        ClusteredVectorIndex index = CatalogueFixture.New(new RetrievalOptions { ExactRowsMax = 0, ProbesMin = 1, RowsPerResult = 1 });
        var all = new Catalogue(6_000, centres: 50, codes: 32, seed: 6);
        all.Fill(index);

        List<RowHit> few = index.Search(all.Queries(1), 6_000, Catalogue.Filter("tag:pass-50"), CancellationToken.None);
        List<RowHit> none = index.Search(all.Queries(1), 10, Catalogue.Filter("tag:nowhere"), CancellationToken.None);

        Assert.Equal(all.Items.Count(item => item.Facts.Tags.Contains("pass-50")), few.Count);
        Assert.Empty(none);
    }

    [Fact]
    public void A_search_with_a_shape_of_its_own_searches_so()
    {
        QueryVectors query = fixture.Catalogue.Queries(1);
        List<RowHit> best = fixture.Flat.Search(query, Wanted, RowFilter.Visible, CancellationToken.None);
        ClusterShape shape = fixture.Clustered.Shape;

        List<RowHit> exact = fixture.Clustered.Search(query, Wanted, RowFilter.Visible, shape with { ExactRowsMax = int.MaxValue / 8 }, CancellationToken.None);
        List<RowHit> probed = fixture.Clustered.Search(query, Wanted, RowFilter.Visible, shape with { ProbesMin = 1, RowsPerResult = 1 }, CancellationToken.None);

        Assert.Equal(best, exact, SameRow);
        Assert.Equal(Wanted, probed.Count);
        Assert.Single(probed.Select(hit => hit.State.Facts.Codes[0]).Distinct());
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void A_small_index_answers_as_the_reference_does(int levels)
    {
        var all = new Catalogue(5_000, centres: 50, codes: 32, seed: 7);
        var flat = new FlatVectorIndex(10_000);
        ClusteredVectorIndex clustered = CatalogueFixture.New(new RetrievalOptions { CoarseLevels = levels, ClustersMax = 100 });
        all.Fill(flat);
        all.Fill(clustered);

        foreach (int k in (int[])[0, 1, 100, 5_000, 9_000])
        {
            QueryVectors query = all.Queries(2);
            RowFilter filter = Catalogue.Filter("NOT tag:pass-10");
            Assert.Equal(flat.Search(query, k, filter, CancellationToken.None), clustered.Search(query, k, filter, CancellationToken.None), SameRow);
        }
    }

    [Fact]
    public void A_slot_that_a_row_has_left_dies_once_the_searches_of_that_time_have_ended()
    {
        var grace = new GracePeriod();
        int early = grace.Enter();
        Assert.True(grace.TryAdvance()); // nobody began before this epoch
        int late = grace.Enter();

        Assert.False(grace.TryAdvance());
        grace.Leave(early);
        Assert.True(grace.TryAdvance());
        Assert.False(grace.TryAdvance());
        grace.Leave(late);
        Assert.True(grace.TryAdvance());
        Assert.True(grace.TryAdvance());
    }

    [Theory, InlineData(3), InlineData(5), InlineData(130)]
    public void Vectors_of_any_length_are_scanned(int dimensions)
    {
        ClusteredVectorIndex index = CatalogueFixture.New(new RetrievalOptions { ExactRowsMax = 0 });
        var flat = new FlatVectorIndex(2_000);
        var random = new Random(dimensions);
        for (int i = 0; i < 1_500; i++)
        {
            var facts = new ItemFacts(new Item { ItemId = $"item-{i}" }, []);
            float[] vector = Make.RandomVector(random, dimensions);
            foreach (IVectorIndex one in (IVectorIndex[])[index, flat])
            {
                var row = new Row();
                row.State = new RowState(facts, new Counters(), new Eligibility(), 1, one.Upsert(row, facts, new Eligibility(), vector));
                one.Publish();
            }
        }

        var query = new QueryVectors(Make.RandomVector(random, dimensions), dimensions);
        HashSet<string> expected = [.. flat.Search(query, 20, RowFilter.Visible, CancellationToken.None).Select(hit => hit.State.Facts.ItemId)];

        Assert.InRange(index.Search(query, 20, RowFilter.Visible, CancellationToken.None).Count(hit => expected.Contains(hit.State.Facts.ItemId)), 18, 20);
    }

    private static readonly IEqualityComparer<RowHit> SameRow =
        EqualityComparer<RowHit>.Create((x, y) => x.Score == y.Score && x.State.Facts == y.State.Facts, hit => hit.State.Facts.GetHashCode());

    private (int Found, int Expected) Recall(ClusteredVectorIndex index, int searches, int queries, RowFilter filter)
    {
        (int found, int expected) = (0, 0);
        for (int i = 0; i < searches; i++)
        {
            QueryVectors query = fixture.Catalogue.Queries(queries);
            HashSet<ItemFacts> best = [.. fixture.Flat.Search(query, Wanted, filter, CancellationToken.None).Select(hit => hit.State.Facts)];
            List<RowHit> hits = index.Search(query, Wanted, filter, CancellationToken.None);
            Assert.Equal(best.Count, hits.Count);
            found += hits.Count(hit => best.Contains(hit.State.Facts));
            expected += best.Count;
        }

        return (found, expected);
    }
}
