namespace Mesh.Numerics.Tests;

public sealed class TopKTests
{
    [Theory]
    [InlineData(0, 5)]
    [InlineData(1, 5)]
    [InlineData(5, 5)]
    [InlineData(7, 100)]
    [InlineData(64, 1_000)]
    [InlineData(100, 40)]
    public void Sort_gives_what_a_full_sort_gives_with_ties_by_ordinal(int k, int offered)
    {
        var random = new Random(k + offered);
        // Eleven distinct scores only, so that most comparisons are ties.
        (float Score, int Ordinal)[] entries = [.. Enumerable.Range(0, offered).Select(i => (Score: (float)random.Next(11) / 7, Ordinal: i))];
        random.Shuffle(entries);

        (float, int)[] best = Best(k, entries);

        Assert.Equal(entries.OrderByDescending(entry => entry.Score).ThenBy(entry => entry.Ordinal).Take(k), best);
    }

    [Fact]
    public void The_order_of_arrival_does_not_matter()
    {
        (float, int)[] entries = [.. Enumerable.Range(0, 200).Select(i => ((float)(i % 5), i))];
        (float, int)[] expected = Best(10, entries);
        var random = new Random(9);
        for (int round = 0; round < 20; round++)
        {
            random.Shuffle(entries);
            Assert.Equal(expected, Best(10, entries));
        }
    }

    [Fact]
    public void NaN_is_never_kept_and_infinities_are()
    {
        (float, int)[] best = Best(3, [(float.NaN, 0), (float.NegativeInfinity, 1), (float.PositiveInfinity, 2)]);

        Assert.Equal([(float.PositiveInfinity, 2), (float.NegativeInfinity, 1)], best);
    }

    [Fact]
    public void Threshold_is_the_worst_kept_score_once_the_buffers_are_full()
    {
        var top = new TopK(new float[2], new int[2]);

        top.Offer(3, 0);
        Assert.Equal(float.NegativeInfinity, top.Threshold);
        top.Offer(1, 1);
        Assert.Equal(1f, top.Threshold);
        Assert.False(top.Offer(0.5f, 2));
        Assert.True(top.Offer(2, 3));
        Assert.Equal(2f, top.Threshold);
    }

    [Fact]
    public void Offer_and_Sort_allocate_nothing()
    {
        var scores = new float[100];
        var ordinals = new int[100];
        float[] offered = Vectors.Random(10_000, seed: 5);
        Run(scores, ordinals, offered);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(scores, ordinals, offered);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Run(float[] scores, int[] ordinals, float[] offered)
    {
        var top = new TopK(scores, ordinals);
        for (int i = 0; i < offered.Length; i++) top.Offer(offered[i], i);
        top.Sort();
    }

    private static (float, int)[] Best(int k, (float Score, int Ordinal)[] entries)
    {
        var scores = new float[k];
        var ordinals = new int[k];
        var top = new TopK(scores, ordinals);
        foreach ((float score, int ordinal) in entries) top.Offer(score, ordinal);
        int count = top.Sort();
        return [.. scores.Zip(ordinals).Take(count)];
    }
}
