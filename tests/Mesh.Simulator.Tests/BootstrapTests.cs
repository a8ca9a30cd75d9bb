using Mesh.Simulator.Loop;

namespace Mesh.Simulator.Tests;

public sealed class BootstrapTests
{
    [Fact]
    public void The_interval_of_a_mean_is_that_of_the_normal_distribution()
    {
        double[] values = Normal(400, seed: 1);
        double deviation = Math.Sqrt(values.Sum(value => Math.Pow(value - values.Average(), 2)) / (values.Length - 1));

        Estimate estimate = Bootstrap.Interval([values], drawn => drawn.Average(), 4_000, seed: 2);

        double half = 1.96 * deviation / Math.Sqrt(values.Length);
        Assert.Equal(values.Average(), estimate.Value, 12);
        Assert.Equal(values.Average() - half, estimate.Low, half * 0.1);
        Assert.Equal(values.Average() + half, estimate.High, half * 0.1);
    }

    [Fact]
    public void About_95_of_100_intervals_hold_the_true_mean()
    {
        int held = Enumerable.Range(0, 400).Count(trial =>
        {
            Estimate estimate = Bootstrap.Interval([Normal(60, seed: 100 + trial)], drawn => drawn.Average(), 300, seed: trial);
            return estimate.Low <= 0 && estimate.High >= 0;
        });

        Assert.InRange(held / 400.0, 0.90, 0.98);
    }

    [Fact]
    public void What_does_not_vary_has_no_interval()
    {
        Assert.Equal(new Estimate(3, 3, 3), Bootstrap.Interval([Enumerable.Repeat(3.0, 10).ToArray()], drawn => drawn.Average(), 100, seed: 1));
    }

    [Fact]
    public void Each_stratum_keeps_its_size()
    {
        double[] zeros = new double[5], ones = [.. Enumerable.Repeat(1.0, 15)];

        Assert.Equal(new Estimate(0.75, 0.75, 0.75), Bootstrap.Interval([zeros, ones], drawn => drawn.Average(), 100, seed: 1));
    }

    [Fact]
    public void The_same_seed_gives_the_same_interval()
    {
        double[] values = Normal(50, seed: 3);

        Assert.Equal(Bootstrap.Interval([values], drawn => drawn.Max(), 200, seed: 4), Bootstrap.Interval([values], drawn => drawn.Max(), 200, seed: 4));
    }

    private static double[] Normal(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => Synthetic.Author.Gaussian(random))];
    }
}
