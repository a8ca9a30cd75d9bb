namespace Mesh.Numerics.Tests;

public sealed class TopSelectTests
{
    public static TheoryData<int, int, int> Cases
    {
        get
        {
            var data = new TheoryData<int, int, int>();
            foreach (int n in new[] { 0, 1, 2, 15, 16, 17, 63, 100, 1_000, 20_000 })
            {
                foreach (int k in new[] { 0, 1, 2, 16, n / 3, n - 1, n, n + 1, 10_000 }.Where(k => k >= 0).Distinct())
                {
                    // The spread of scores: all ties, many ties, none to speak of, the whole of int32.
                    foreach (int spread in new[] { 1, 5, 100_000, int.MaxValue }) data.Add(n, k, spread);
                }
            }

            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Keep_leaves_in_front_what_a_sort_would(int n, int k, int spread)
    {
        var random = new Random(n + k + spread);
        int[] scores = [.. Enumerable.Range(0, n).Select(_ => spread == int.MaxValue ? random.Next(int.MinValue, int.MaxValue) : random.Next(spread) - (spread / 2))];
        int[] ordinals = [.. Enumerable.Range(0, n)];
        random.Shuffle(ordinals);
        (int Score, int Ordinal)[] expected = TopSelect.Scalar(scores, ordinals, k);

        foreach (SimdLevel level in Enum.GetValues<SimdLevel>().Where(level => level.IsSupported()))
        {
            int[] kept = [.. scores], theirs = [.. ordinals];

            int worst = TopSelect.Keep(kept, theirs, k, level);

            Assert.Equal(expected, Sorted(kept, theirs, expected.Length));
            Assert.Equal(expected.Length == 0 ? int.MinValue : expected[^1].Score, worst);
        }
    }

    [Theory]
    [InlineData(new[] { int.MinValue, int.MaxValue }, 1)]
    [InlineData(new[] { int.MinValue, int.MinValue, int.MaxValue, int.MaxValue }, 3)]
    [InlineData(new[] { int.MinValue, 0, -1, 1, int.MaxValue }, 4)]
    [InlineData(new[] { 0, 1 << 21, 2, 1 << 31, 3 }, 2)]
    public void Extreme_scores_are_told_apart(int[] scores, int k)
    {
        int[] ordinals = [.. Enumerable.Range(0, scores.Length)];
        (int, int)[] expected = TopSelect.Scalar(scores, ordinals, k);

        TopSelect.Keep(scores, ordinals, k);

        Assert.Equal(expected, Sorted(scores, ordinals, k));
    }

    [Fact]
    public void Repeated_pairs_are_kept_as_often_as_they_come()
    {
        int[] scores = [7, 7, 7, 7, 9];
        int[] ordinals = [3, 1, 1, 1, 5];

        TopSelect.Keep(scores, ordinals, 3);

        Assert.Equal([(9, 5), (7, 1), (7, 1)], Sorted(scores, ordinals, 3));
    }

    [Fact]
    public void Ordered_ints_sort_as_their_floats_and_turn_back()
    {
        float[] floats = [float.NegativeInfinity, float.MinValue, -1.5f, -1, -float.Epsilon, 0, float.Epsilon, 1, 1.5f, float.MaxValue, float.PositiveInfinity];

        int[] ordered = [.. floats.Select(TopSelect.ToOrdered)];

        Assert.Equal(ordered.Order(), ordered);
        Assert.Equal(floats, ordered.Select(TopSelect.FromOrdered));
    }

    [Fact]
    public void Sizes_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>(() => TopSelect.Keep(new int[3], new int[4], 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => TopSelect.Keep(new int[3], new int[3], -1));
    }

    private static (int Score, int Ordinal)[] Sorted(int[] scores, int[] ordinals, int count) =>
        [.. scores.Zip(ordinals).Take(count).OrderByDescending(pair => pair.First).ThenBy(pair => pair.Second)];

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(300, 1)]
    [InlineData(1_312, 5)]
    [InlineData(1_312, 100_000)]
    [InlineData(5_000, int.MaxValue)]
    public void Pairs_are_sorted_by_score_and_equal_ones_stay_in_order(int n, int spread)
    {
        var random = new Random(n);
        int[] scores = [.. Enumerable.Range(0, n).Select(_ => random.Next(-spread, spread))], ordinals = [.. Enumerable.Range(0, n)];
        if (n > 1) (scores[0], scores[1]) = (int.MinValue, int.MaxValue);
        (int Score, int Ordinal)[] expected = [.. scores.Zip(ordinals).OrderBy(pair => pair.First)];

        TopSelect.SortAscending(scores, ordinals, new int[2 * n]);

        Assert.Equal(expected, scores.Zip(ordinals));
    }

    [Fact]
    public void Sorting_refuses_lengths_that_do_not_fit()
    {
        Assert.Throws<ArgumentException>(() => TopSelect.SortAscending(new int[3], new int[2], new int[6]));
        Assert.Throws<ArgumentException>(() => TopSelect.SortAscending(new int[3], new int[3], new int[5]));
    }
}
