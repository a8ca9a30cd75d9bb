using Mesh.Benchmarks.Ann;

namespace Mesh.Benchmarks.Tests;

public sealed class AnnSweepTests
{
    private const int K = 100;

    private readonly AnnData _data = new("hard", 2_000, 8, 16, seed: 1);
    private readonly AnnFilterSet _all;
    private readonly AnnTruth _truth;
    private readonly int[][] _nearest;

    public AnnSweepTests()
    {
        _all = AnnFilterSet.Make(_data, new ValueBitmaps(_data), 100, seed: 1);
        _truth = new AnnTruth(_data, [_all], K, CancellationToken.None);
        float[] scores = new float[_data.Rows];
        _nearest = [.. Enumerable.Range(0, _data.QueryCount).Select(query =>
        {
            Mesh.Numerics.RowDots.Compute(_data.Query(query), _data.Vectors, scores);
            return Enumerable.Range(0, _data.Rows).OrderByDescending(row => scores[row]).Take(K).ToArray();
        })];
    }

    [Fact]
    public async Task A_rate_is_told_at_the_recall_wanted()
    {
        // Recall knob / 100, rate 10,000 / knob: at 0.9 it is that of knob 90.
        var way = new FakeWay("one", _nearest, found: knob => knob, qps: (knob, _) => 10_000.0 / knob);
        AnnResult?[][] results = await RunAsync([[way]]);

        Assert.InRange(results[0][0]!.Qps, 0.99 * 10_000 / 90, 1.01 * 10_000 / 90);
        Assert.InRange(results[0][0]!.Choice.Reaches.Knob, 90, 91);
        Assert.InRange(results[0][1]!.Qps, 0.99 * 10_000 / 95, 1.01 * 10_000 / 95);
    }

    [Fact]
    public async Task Between_two_settings_the_rate_is_interpolated_in_its_logarithm()
    {
        var way = new FakeWay("coarse", _nearest, found: knob => knob == 1 ? 80 : 100, qps: (knob, _) => knob == 1 ? 8_000 : 2_000);
        AnnResult?[][] results = await RunAsync([[way]]);

        Assert.Equal(4_000, results[0][0]!.Qps, 1e-6); // 0.9 is half-way from 0.8 to 1
    }

    [Fact]
    public async Task The_fastest_way_and_variant_counts_and_a_side_that_cannot_has_none()
    {
        var slow = new FakeWay("slow", _nearest, found: knob => knob, qps: (_, _) => 50);
        var fast = new FakeWay("fast", _nearest, found: knob => knob, qps: (_, variant) => variant == 1 ? 90 : 60) { VariantCount = 2 };
        var poor = new FakeWay("poor", _nearest, found: _ => 92, qps: (_, _) => 1_000);

        AnnResult?[][] results = await RunAsync([[slow, fast], [poor]]);

        Assert.Equal(("fast", 1), (results[0][0]!.Choice.Way.Name, results[0][0]!.Choice.Variant));
        Assert.Equal(90, results[0][0]!.Qps, 1e-9);
        Assert.Equal(1_000, results[1][0]!.Qps, 1e-9);
        Assert.Null(results[1][1]);
    }

    [Fact]
    public async Task A_way_that_is_far_behind_is_not_turned_up_to_the_end()
    {
        var fast = new FakeWay("fast", _nearest, found: knob => Math.Min(100, 60 + knob), qps: (_, _) => 1_000);
        var slow = new FakeWay("slow", _nearest, found: knob => knob, qps: (_, _) => 10);

        await RunAsync([[fast, slow]]);

        Assert.Equal([1], slow.Asked);
    }

    private async Task<AnnResult?[][]> RunAsync(AnnWay[][] sides)
    {
        var sweep = new AnnSweep(_truth, _all, K, [0.9, 0.95], CancellationToken.None);
        foreach (AnnWay[] side in sides) await sweep.ScoutAsync(side);
        return await sweep.TimeAsync(sides, isBatch: false, seconds: 0, rounds: 3);
    }

    /// <summary>Finds as many of the nearest 100 as the knob says, at a rate of its own.</summary>
    private sealed class FakeWay(string name, int[][] nearest, Func<int, int> found, Func<int, int, double> qps) : AnnWay(name, 128)
    {
        public int VariantCount { get; init; } = 1;

        public List<int> Asked { get; } = [];

        public override int Variants(AnnFilterSet filters, bool isBatch) => VariantCount;

        public override Task<(int[][] Rows, double Seconds)> AnswerAsync(AnnFilterSet filters, int k, int knob, CancellationToken cancellation)
        {
            Asked.Add(knob);
            int[][] rows = [.. nearest.Select(all => all.Take(found(knob)).ToArray())];
            return Task.FromResult((rows, rows.Length / qps(knob, 0)));
        }

        public override Task<double> RunAsync(AnnFilterSet filters, int k, int knob, bool isBatch, int variant, double seconds, CancellationToken cancellation) =>
            Task.FromResult(qps(knob, variant));
    }
}
