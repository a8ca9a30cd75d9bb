namespace Mesh.Numerics.Tests;

public sealed class DecayedCounterTests
{
    private const double HalfLifeMs = 1_000;

    [Fact]
    public void A_count_halves_every_half_life()
    {
        Assert.Equal(1, DecayedCounter.Factor(500, 500, HalfLifeMs));
        Assert.Equal(0.5, DecayedCounter.Factor(0, 1_000, HalfLifeMs), 1e-12);
        Assert.Equal(0.125, DecayedCounter.Factor(0, 3_000, HalfLifeMs), 1e-12);
    }

    [Fact]
    public void An_earlier_moment_changes_nothing()
    {
        float[] counts = [3, 4];

        Assert.Equal(5_000, DecayedCounter.Advance(counts, asOfMs: 5_000, nowMs: 1_000, HalfLifeMs));
        Assert.Equal([3, 4], counts);
    }

    [Fact]
    public void Late_events_count_the_same_as_if_they_had_come_in_order()
    {
        var random = new Random(3);
        long[] times = [.. Enumerable.Range(0, 200).Select(_ => (long)random.Next(10_000))];

        float[] inOrder = Count(times.Order());
        float[] shuffled = Count(times);

        double plain = times.Sum(time => Math.Pow(0.5, (times.Max() - time) / HalfLifeMs));
        Assert.Equal(plain, inOrder[0], 1e-4);
        Assert.Equal(plain, shuffled[0], 1e-4);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    public void A_half_life_that_is_not_above_zero_is_refused(double halfLifeMs) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => DecayedCounter.Factor(0, 1, halfLifeMs));

    private static float[] Count(IEnumerable<long> times)
    {
        float[] counts = [0];
        long asOf = 0;
        foreach (long time in times) asOf = DecayedCounter.Add(counts, 0, 1, time, asOf, HalfLifeMs);
        return counts;
    }
}
