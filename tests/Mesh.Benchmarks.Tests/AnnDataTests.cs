using System.Numerics.Tensors;
using Mesh.Benchmarks.Ann;
using Mesh.Retrieval;

namespace Mesh.Benchmarks.Tests;

public sealed class AnnDataTests
{
    private const int Rows = 20_000, Queries = 24;

    [Theory, InlineData("easy"), InlineData("hard")]
    public void The_same_seed_gives_the_same_unit_vectors_and_values(string kind)
    {
        var data = new AnnData(kind, Rows, 16, Queries, seed: 3);
        var again = new AnnData(kind, Rows, 16, Queries, seed: 3);

        Assert.True(data.Vectors.SequenceEqual(again.Vectors));
        Assert.Equal(data.Queries, again.Queries);
        Assert.Equal(data.Values, again.Values);
        Assert.Equal(data.Key, again.Key);
        Assert.NotEqual(data.Key, new AnnData(kind, Rows, 16, Queries, seed: 4).Key);
        Assert.All(Enumerable.Range(0, Rows), row => Assert.Equal(1, TensorPrimitives.Norm(data.Vector(row)), 1e-4));
    }

    [Fact]
    public void Rows_of_easy_data_lie_nearer_to_their_neighbours_than_those_of_hard_data()
    {
        Assert.True(Nearest("easy") > Nearest("hard") + 0.05);
    }

    [Theory, InlineData("none", Rows, 16), InlineData("easy", 10, 16), InlineData("easy", Rows, 0), InlineData("easy", 20_000_000, 1_024)]
    public void Data_of_no_kind_or_size_are_refused(string kind, int rows, int dimensions)
    {
        Assert.Throws<ArgumentException>(() => new AnnData(kind, rows, dimensions, Queries, seed: 1));
    }

    [Theory, InlineData(0.1), InlineData(1), InlineData(10), InlineData(50), InlineData(100)]
    public void Filters_admit_about_the_share_asked_for(double percent)
    {
        var data = new AnnData("easy", Rows, 16, Queries, seed: 3);

        AnnFilterSet filters = AnnFilterSet.Make(data, new ValueBitmaps(data), percent, seed: 5);

        Assert.InRange(100 * filters.Passing.Average() / Rows, 0.75 * percent, 1.25 * percent);
        Assert.Equal(percent == 100, filters.IsOpen);
    }

    [Theory, InlineData(1), InlineData(50)]
    public void A_selector_holds_the_rows_that_meet_every_condition_and_FeedMesh_admits_them(double percent)
    {
        const int Few = 5_007; // not a multiple of 64
        var data = new AnnData("easy", Few, 16, Queries, seed: 3);
        AnnFilterSet filters = AnnFilterSet.Make(data, new ValueBitmaps(data), percent, seed: 5);
        var index = new FeedMeshIndex(data, [.. Enumerable.Range(0, Few).Select(_ => new uint[] { 0 })], new RetrievalOptions(), CancellationToken.None);
        index.Add(filters);

        for (int query = 0; query < Queries; query++)
        {
            int[] expected = [.. Enumerable.Range(0, Few).Where(row => filters.Conditions[query].All(condition => condition.Holds(data.Values[condition.Attribute][row])))];
            int[] selected = [.. Enumerable.Range(0, 64 * filters.Selectors[query].Length).Where(row => (filters.Selectors[query][row >> 6] >> (row & 63) & 1) == 1)];
            int[] found = [.. index.Search(filters, query, Few, index.Index.Shape, CancellationToken.None).Select(hit => hit.State.Slot).Order()];

            Assert.Equal(expected, selected);
            Assert.Equal(expected, found);
        }
    }

    [Fact]
    public void Recall_counts_the_nearest_rows_that_pass()
    {
        var data = new AnnData("hard", 3_000, 8, 16, seed: 3);
        AnnFilterSet filters = AnnFilterSet.Make(data, new ValueBitmaps(data), 10, seed: 5);
        var truth = new AnnTruth(data, [filters], 20, CancellationToken.None);
        int[][] nearest = [.. Enumerable.Range(0, 16).Select(query => Enumerable.Range(0, data.Rows)
            .Where(row => (filters.Selectors[query][row >> 6] >> (row & 63) & 1) == 1)
            .OrderByDescending(row => TensorPrimitives.Dot(data.Vector(row), data.Query(query))).ToArray())];

        Assert.Equal(1, truth.Recall(filters, 20, nearest));
        Assert.Equal(0.5, truth.Recall(filters, 20, [.. nearest.Select(rows => rows.Take(10).Concat(rows.Skip(20)).ToArray())]));
        Assert.Equal(0.05, truth.Recall(filters, 20, [.. nearest.Select(rows => Enumerable.Repeat(rows[0], 20).ToArray())]), 1e-9);
        Assert.Equal(0, truth.Recall(filters, 20, [.. nearest.Select(_ => new[] { -1 })]));
    }

    private static double Nearest(string kind)
    {
        var data = new AnnData(kind, Rows, 64, Queries, seed: 3);
        return Enumerable.Range(0, Queries).Average(query => Enumerable.Range(0, Rows).Max(row => TensorPrimitives.Dot(data.Vector(row), data.Query(query))));
    }
}
