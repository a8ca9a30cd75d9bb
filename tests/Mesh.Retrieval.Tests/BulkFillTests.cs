using Mesh.Contracts;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>An index filled at once against one that took the same rows one after the other.</summary>
public sealed class BulkFillTests
{
    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, MemberData(nameof(Shapes))]
    public async Task A_snapshot_loaded_at_once_gives_every_row_and_takes_deltas_as_any_index(string shape)
    {
        for (int seed = 1; seed <= 3; seed++)
        {
            List<IndexDelta> deltas = IndexModel.RandomDeltas(seed, 2_000);
            var model = new IndexModel();
            foreach (IndexDelta delta in deltas.Take(1_000)) model.Apply(delta);

            LiveIndex index = await LoadAsync(model.Rows.Values, IndexShapes.Options(shape));
            model.AssertSame(index);
            foreach (IndexDelta delta in deltas.Skip(1_000))
            {
                model.Apply(delta);
                index.Apply(delta, out _);
            }

            model.AssertSame(index);
        }
    }

    [Theory, InlineData(1, 4_096), InlineData(2, 4_096), InlineData(2, 6)]
    public void Many_rows_over_many_segments_are_found_and_filtered_as_if_they_had_come_one_by_one(int levels, int clustersMax)
    {
        var catalogue = new Catalogue(items: 6_000, centres: 3, codes: 3, seed: 4);
        var shape = new ClusterShape(500, 4_096, 64, new FilterShape(1_024, 5, 0.05, 64), levels, clustersMax);
        ClusteredVectorIndex oneByOne = new(20_000, shape), atOnce = new(20_000, shape);
        catalogue.Fill(oneByOne);

        atOnce.Fill(new CatalogueRows(catalogue), threads: 3);

        Assert.Equal(oneByOne.Slots, atOnce.Slots);
        Assert.True(atOnce.Scale > 0);
        Assert.True(atOnce.Segments.Length >= 6, $"{atOnce.Segments.Length} segments");
        Assert.Equal(6_000, atOnce.Filters.Count(FilterBits.LiveRow));
        Assert.True(atOnce.Filters.FrequentValues > 0);
        foreach (string filter in (string[])["", "tag:pass-1", "tag:pass-50 AND NOT language:de", "tag:pass-0.1 OR author:author-7"])
        {
            QueryVectors query = catalogue.Queries(1);
            RowFilter admits = Catalogue.Filter(filter);
            Assert.Equal(
                oneByOne.Live().Where(live => admits.Admits(live.State)).OrderByDescending(live => query.Best(oneByOne.VectorAt(live.State.Slot))).Take(10).Select(live => live.State.Facts.ItemId),
                atOnce.Search(query, 20, admits, default).Take(10).Select(hit => hit.State.Facts.ItemId)); // the bytes may misjudge the last few
        }
    }

    [Fact]
    public void Rows_that_come_after_a_fill_find_room_beside_those_that_were_there()
    {
        var catalogue = new Catalogue(items: 1_500, centres: 2, codes: 2, seed: 5);
        var index = new ClusteredVectorIndex(20_000, new ClusterShape(100, 4_096, 64, new FilterShape(1_024, 5, 0.05, 64), 1, 4_096));
        index.Fill(new CatalogueRows(catalogue), threads: 2);

        catalogue.Fill(index); // the same once more, under slots of their own

        Assert.Equal(3_000, index.Live().Count());
        QueryVectors query = catalogue.Queries(1);
        List<RowHit> hits = index.Search(query, 2, RowFilter.Visible, default);
        Assert.Equal(hits[0].State.Facts.ItemId, hits[1].State.Facts.ItemId);
    }

    [Fact]
    public void Where_room_for_clusters_is_scarce_the_largest_prefixes_have_their_own()
    {
        var rows = new List<Row>();
        foreach ((uint second, int count) in (IEnumerable<(uint, int)>)[(1, 2), (2, 3), (3, 90), (4, 80), (5, 70), (6, 60), (7, 50), (8, 40), (9, 30), (10, 1)])
        {
            for (int i = 0; i < count; i++)
            {
                var facts = new ItemFacts(new Item { ItemId = $"item-{rows.Count}" }, [0, second]);
                rows.Add(new Row { State = new RowState(facts, new Counters(), new Eligibility(), 1, rows.Count) });
            }
        }

        var index = new ClusteredVectorIndex(1_000, new ClusterShape(0, 8, 1, new FilterShape(1_024, 5, 0.05, 64), 2, 8));
        index.Fill(new AlikeRows([.. rows]), threads: 2);

        Assert.Equal(8, index.Clusters.Length);
        uint[][] held = [.. index.Clusters.ToArray().Select(cluster => cluster.Segments.ToArray()
            .SelectMany(number => Enumerable.Range(0, index.Segments[number].Capacity).Select(place => index.Segments[number][place].Row).OfType<Row>())
            .Select(row => row.State!.Facts.Codes[1]).Distinct().Order().ToArray())];
        Assert.Equal([[3], [4], [5], [6], [7], [8], [9], [1, 2, 10]], held);
    }

    [Fact]
    public void Bytes_have_one_scale_and_rows_the_same_bits_whichever_way_they_came()
    {
        var catalogue = new Catalogue(items: 1_200, centres: 3, codes: 3, seed: 6, number => number % 2 == 0 ? ["twice", "twice"] : []);
        var shape = new ClusterShape(1_199, 4_096, 64, new FilterShape(1_024, 5, 0.05, 64), 1, 4_096); // bytes are made with the last row
        ClusteredVectorIndex oneByOne = new(4_000, shape), atOnce = new(4_000, shape);
        catalogue.Fill(oneByOne);
        atOnce.Fill(new CatalogueRows(catalogue), threads: 2);

        Assert.Equal(oneByOne.Scale, atOnce.Scale);
        Dictionary<string, string> one = Bits(oneByOne), other = Bits(atOnce);
        Assert.Equal(1_200, one.Count);
        foreach ((string item, string bits) in one) Assert.Equal(bits, other[item]);

        // The rows of values by name, as the two may have numbered them differently: those without an exact row are in the Bloom rows.
        Dictionary<string, string> Bits(ClusteredVectorIndex index)
        {
            string[] values = ["tag:pass-50", "tag:pass-10", "tag:twice", "language:de", "language:en", "author:author-7", "tag:pass-0.1"];
            var found = new Dictionary<string, string>();
            foreach (string value in values)
            {
                FilterTerm term = Catalogue.Filter(value).Plan.Steps[0].Term!;
                foreach (Segment segment in index.Segments)
                {
                    for (int place = 0; place < segment.Capacity; place++)
                    {
                        if (!segment.Filter.Has(FilterBits.LiveRow, place)) continue;
                        string item = segment[place].Row.State!.Facts.ItemId;
                        bool isSet = index.Filters.TryFindRow(FilterValue.Of(term), out int row)
                            ? segment.Filter.Has(row, place)
                            : segment.Filter.HasBloom(index.Filters.BloomRows(FilterValue.Of(term)), place);
                        found[item] = $"{found.GetValueOrDefault(item)} {value} {isSet}";
                    }
                }
            }

            return found;
        }
    }

    [Fact]
    public void Only_an_empty_index_is_filled()
    {
        var rows = new CatalogueRows(new Catalogue(items: 10, centres: 1, codes: 1, seed: 6));
        LiveIndex index = Make.Index();
        index.Fill(rows, 1, new LoadTimes());

        Assert.Throws<InvalidOperationException>(() => index.Fill(rows, 1, new LoadTimes()));
        Assert.Throws<InvalidOperationException>(() => index.Vectors.Fill(rows, 1));
    }

    [Fact]
    public async Task Rows_that_cannot_be_taken_are_refused_and_the_others_serve()
    {
        ItemRow nan = Make.Row("nan");
        nan.Embedding = Make.Bytes([1, float.NaN, 0, 0]);
        ItemRow infinite = Make.Row("infinite");
        infinite.Embedding = Make.Bytes([float.NegativeInfinity, 0, 0, 0]);
        var options = new RetrievalOptions { ItemsMax = 2 };

        LiveIndex index = await LoadAsync([nan, Make.Row("a", codes: [1, 2, 3]), infinite, Make.Row("", codes: [1, 2, 3]), Make.Row("b", author: "other"), Make.Row("late")], options);

        Assert.Equal(["a", "b"], index.Vectors.Live().Select(live => live.State.Facts.ItemId));
        Assert.Null(index.Find("late"));
        Assert.Equal(2, index.Items);
        Assert.Equal(["b"], index.Authors.Read("other", Make.Now).Select(entry => entry.Row.State!.Facts.ItemId));
    }

    [Fact]
    public async Task A_snapshot_that_names_an_item_twice_is_not_loaded()
    {
        FeedException refused = await Assert.ThrowsAsync<FeedException>(() => LoadAsync([Make.Row("a"), Make.Row("a")], new RetrievalOptions()));

        Assert.Contains("Item a is there twice", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Texts_that_rows_share_are_on_the_heap_once()
    {
        LiveIndex index = await LoadAsync([Make.Row("a", tags: ["same"], language: "de"), Make.Row("b", tags: ["same"], language: "de")], new RetrievalOptions());

        Assert.Same(index.Find("a")!.Facts.AuthorId, index.Find("b")!.Facts.AuthorId);
        Assert.Same(index.Find("a")!.Facts.Tags[0], index.Find("b")!.Facts.Tags[0]);
        Assert.Same(index.Find("a")!.Facts.Language, index.Find("b")!.Facts.Language);
    }

    private static async Task<LiveIndex> LoadAsync(IEnumerable<ItemRow> rows, RetrievalOptions options)
    {
        var log = new FakeLog();
        await log.SnapshotAsync(rows);
        return await LoadLatestAsync(log, options);
    }

    private static async Task<LiveIndex> LoadLatestAsync(FakeLog log, RetrievalOptions options)
    {
        await using var rig = new FollowerRig(log, options);
        return await rig.Loader.LoadLatestAsync(CancellationToken.None);
    }

    private sealed class AlikeRows(Row[] rows) : BulkRows(rows)
    {
        public override int Dimensions => 4;

        public override ReadOnlySpan<float> Vector(int row) => [1, 0, 0, 0];
    }

    private sealed class CatalogueRows(Catalogue catalogue) : BulkRows(
        [.. catalogue.Items.Select((item, i) => new Row { State = new RowState(item.Facts, new Counters(), new Eligibility(), (ulong)i + 1, i) })])
    {
        public override int Dimensions => Catalogue.Dimensions;

        public override ReadOnlySpan<float> Vector(int row) => catalogue.Items[row].Vector;
    }
}
