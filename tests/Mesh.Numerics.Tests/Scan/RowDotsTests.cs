using System.Runtime.InteropServices;

namespace Mesh.Numerics.Tests;

public sealed class RowDotsTests
{
    [Theory]
    [InlineData(0, 5)]
    [InlineData(1, 1)]
    [InlineData(7, 30)]
    [InlineData(64, 100)]
    [InlineData(128, 0)]
    public void Rows_in_order_and_rows_by_index_score_as_one_dot_product_each(int dimensions, int rows)
    {
        float[] query = Vectors.Random(dimensions, seed: 1);
        float[] matrix = Vectors.Random(rows * dimensions, seed: 2);
        int[] picked = [.. Enumerable.Range(0, 3 * rows).Select(i => i * 7 % rows)];
        var inOrder = new float[rows];
        var byIndex = new float[picked.Length];

        RowDots.Compute(query, matrix, inOrder);
        RowDots.Gather(query, matrix, picked, byIndex);

        Assert.Equal(Enumerable.Range(0, rows).Select(row => DotProduct.Compute(query, matrix.AsSpan(row * dimensions, dimensions))), inOrder);
        Assert.Equal(picked.Select(row => inOrder[row]), byIndex);
        for (int row = 0; row < rows; row++)
        {
            Assert.Equal(DotProduct.Scalar(query, matrix.AsSpan(row * dimensions, dimensions)), inOrder[row], 1e-6f * (dimensions + 1));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(40)]
    public void Rows_by_address_score_as_rows_by_index(int count)
    {
        const int Dimensions = 64;
        float[] query = Vectors.Random(Dimensions, seed: 3);
        float[] matrix = GC.AllocateArray<float>(50 * Dimensions, pinned: true);
        Vectors.Random(matrix.Length, seed: 4).CopyTo(matrix, 0);
        int[] rows = [.. Enumerable.Range(0, count).Select(i => i * 13 % 50)];
        nint[] addresses = [.. rows.Select(row => Marshal.UnsafeAddrOfPinnedArrayElement(matrix, row * Dimensions))];
        var (byIndex, byAddress) = (new float[count], new float[count]);

        RowDots.Gather(query, matrix, rows, byIndex);
        RowDots.Gather(query, addresses, byAddress);

        Assert.Equal(byIndex, byAddress);
    }

    [Fact]
    public void Sizes_that_do_not_fit_and_rows_that_are_not_there_are_refused()
    {
        Assert.Throws<ArgumentException>(() => RowDots.Compute(new float[3], new float[10], new float[3]));
        Assert.Throws<ArgumentException>(() => RowDots.Gather(new float[3], new float[9], [0, 1], new float[3]));
        Assert.Throws<ArgumentException>(() => RowDots.Gather(new float[3], new float[9], [3], new float[1]));
        Assert.Throws<ArgumentException>(() => RowDots.Gather(new float[3], new float[9], [-1], new float[1]));
        Assert.Throws<ArgumentException>(() => RowDots.Gather(new float[3], [(nint)0], new float[2]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(100)]
    [InlineData(101)]
    public void The_nearest_centroids_are_those_of_a_sort(int probes)
    {
        float[] query = Vectors.Random(16, seed: 5);
        // The second half repeats the first, so that every score is a tie.
        float[] centroids = Vectors.Random(50 * 16, seed: 6);
        centroids = [.. centroids, .. centroids];
        int[] expected = [.. Enumerable.Range(0, 100)
            .OrderByDescending(row => DotProduct.Compute(query, centroids.AsSpan(row * 16, 16))).ThenBy(row => row).Take(probes).Order()];

        int[] nearest = Centroids.Nearest(query, centroids, probes, new int[100], new int[100]).ToArray();

        Assert.Equal(expected, nearest.Order());
    }

    [Fact]
    public void Scores_of_the_nearest_centroids_come_in_their_order()
    {
        float[] query = [1, 0];
        int[] scores = new int[3];

        ReadOnlySpan<int> nearest = Centroids.Nearest(query, [-0.5f, 1, 0.75f, 0, 0.25f, 3], 2, scores, new int[3]);

        for (int i = 0; i < 2; i++) Assert.Equal(nearest[i] == 1 ? 0.75f : 0.25f, TopSelect.FromOrdered(scores[i]));
    }
}
