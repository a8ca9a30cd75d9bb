using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>Which cluster a row lies in, and what becomes of it where there is room for few.</summary>
public sealed class ClusterTableTests
{
    [Fact]
    public void Rows_lie_together_by_as_many_codes_as_the_levels_say()
    {
        uint[][] codes = [[1, 2, 3], [1, 2, 4], [1, 5, 3], [6, 2, 3], [1], []];

        Assert.Equal([0, 0, 0, 1, 0, 2], Ordinals(new ClusterTable(levels: 1, clustersMax: 100), codes));
        Assert.Equal([0, 0, 1, 2, 3, 4], Ordinals(new ClusterTable(levels: 2, clustersMax: 100), codes));
        Assert.Equal([0, 1, 2, 3, 4, 5], Ordinals(new ClusterTable(levels: 3, clustersMax: 100), codes));
    }

    [Fact]
    public void Where_room_is_used_up_a_prefix_shares_the_cluster_of_a_shorter_one_and_at_last_any()
    {
        var table = new ClusterTable(levels: 2, clustersMax: 8); // 7 for prefixes of two codes, 8 in all
        int[] first = Ordinals(table, [.. Enumerable.Range(0, 7).Select(code => new uint[] { 1, (uint)code })]);

        Assert.Equal([0, 1, 2, 3, 4, 5, 6], first);
        Assert.Equal([7, 7, 3], Ordinals(table, [[1, 7], [1, 8], [1, 3]])); // of all that begin with 1 and have none of their own
        Assert.Equal([2, 2, 1], Ordinals(table, [[10, 0], [10, 1], [uint.MaxValue - 6, 0]])); // 10 and 4294967289 by remainder of 8
        Assert.Equal([8, 8], Ordinals(table, [[], []])); // no code is no prefix of anything
        Assert.True(table.WithoutCodes!.IsAlwaysProbed);
        Assert.Equal([7, 2], Ordinals(table, [[1, 8], [10, 1]])); // as before
    }

    [Fact]
    public void A_longer_prefix_leaves_room_for_shorter_ones()
    {
        var table = new ClusterTable(levels: 3, clustersMax: 16);

        Assert.Equal(12, Ordinals(table, [.. Enumerable.Range(0, 12).Select(code => new uint[] { 1, 1, (uint)code })]).Distinct().Count());
        Assert.Equal([12, 12, 13, 14, 14], Ordinals(table, [[1, 1, 99], [1, 1, 100], [1, 2, 1], [1, 3, 1], [1, 4, 1]]));
    }

    [Fact]
    public void A_prefix_keeps_its_cluster_whatever_comes_after()
    {
        for (int seed = 1; seed <= 20; seed++)
        {
            var random = new Random(seed);
            var table = new ClusterTable(levels: random.Next(1, 4), clustersMax: random.Next(1, 40));
            var known = new Dictionary<CodePrefix, Cluster>();
            for (int i = 0; i < 2_000; i++)
            {
                CodePrefix prefix = table.PrefixOf([.. Enumerable.Range(0, random.Next(5)).Select(_ => (uint)random.Next(8))]);
                Cluster cluster = table.Of(prefix, Make.Dimensions);
                if (known.TryGetValue(prefix, out Cluster? before)) Assert.Same(before, cluster);
                known[prefix] = cluster;
            }

            Assert.Equal(Enumerable.Range(0, table.All.Length), table.All.ToArray().Select(cluster => cluster.Ordinal));
        }
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void Rows_that_go_leave_the_cluster_that_they_came_to_where_prefixes_share_them(int levels)
    {
        var random = new Random(levels);
        var index = new ClusteredVectorIndex(2_000, IndexLimits.From(new RetrievalOptions { ExactRowsMax = 0, ProbesMin = 8, CoarseLevels = levels, ClustersMax = 8 }).Clusters);
        var rows = new List<Row>();
        for (int i = 0; i < 120; i++)
        {
            var facts = new ItemFacts(new Item { ItemId = $"item-{i}" }, [.. Enumerable.Range(0, 3).Select(_ => (uint)random.Next(12))]);
            var row = new Row();
            row.State = new RowState(facts, new Counters(), new Eligibility(), 1, index.Upsert(row, facts, new Eligibility(), Make.RandomVector(random)));
            index.Publish();
            rows.Add(row);
        }

        Assert.Equal(8, index.Clusters.Length);
        foreach (Row row in rows.Where((_, i) => i % 8 != 0))
        {
            RowState state = row.State!;
            row.State = null;
            index.Delete(state);
            index.Publish();
        }

        Row[] left = [.. rows.Where(row => row.State is not null)];
        Assert.Equal(left.Length, index.Search(new QueryVectors([1, 0, 0, 0], 4), 100, RowFilter.Visible, CancellationToken.None).Count);
        foreach (Cluster cluster in index.Clusters)
        {
            float[] sum = new float[4];
            foreach (Row row in left.Where(row => cluster.Segments.ToArray().Any(number => Holds(index.Segments[number], row))))
            {
                for (int d = 0; d < sum.Length; d++) sum[d] += index.VectorAt(row.State!.Slot)[d];
            }

            Assert.All(Make.Unit(sum).Zip(cluster.Centroid.ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
        }
    }

    [Theory, InlineData(1, 1), InlineData(2, 2)]
    public void A_row_whose_codes_change_moves_where_its_cluster_does(int levels, int slots)
    {
        LiveIndex index = Make.Index(new RetrievalOptions { CoarseLevels = levels }, Make.Row("a", codes: [1, 2, 3]), Make.Row("a", codes: [1, 7, 3]));

        Assert.Equal(slots, index.Vectors.Slots);
        Assert.Equal([1u, 7, 3], Assert.Single(index.Vectors.Search(new QueryVectors([1, 0, 0, 0], 4), 5, RowFilter.Visible, CancellationToken.None)).State.Facts.Codes);
    }

    private static bool Holds(Segment segment, Row row) => Enumerable.Range(0, segment.Capacity).Any(place => segment[place].Row == row);

    private static int[] Ordinals(ClusterTable table, uint[][] codes) => [.. codes.Select(one => table.Of(table.PrefixOf(one), Make.Dimensions).Ordinal)];
}
