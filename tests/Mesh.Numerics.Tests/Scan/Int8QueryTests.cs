namespace Mesh.Numerics.Tests;

public sealed class Int8QueryTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(384)]
    public void Score_misses_the_dot_product_by_no_more_than_the_bound(int dimensions)
    {
        for (int seed = 0; seed < 200; seed++)
        {
            float[] query = Vectors.Random(dimensions, seed);
            float[] row = Unit(Vectors.Random(dimensions, seed: -seed - 1));
            float scale = Int8Rows.ScaleFor(row.Max(MathF.Abs));
            var quantized = new Int8Query(query, scale);

            float miss = MathF.Abs(quantized.Score(Dot(row, scale, quantized)) - DotProduct.Compute(query, row));

            Assert.InRange(miss, 0, quantized.ErrorBound + (1e-6f * dimensions));
        }
    }

    [Fact]
    public void The_bound_is_nearly_met_where_every_rounding_errs_the_same_way()
    {
        // Components of the row lie just below half a step, those of the query just below half of theirs, but for one that sets it.
        const int Dimensions = 64;
        float[] row = [.. Enumerable.Repeat(0.125f, Dimensions)];
        float scale = 0.125f / 24.4999f;
        float[] query = [.. Enumerable.Repeat(30.4999f / 63, Dimensions)];
        query[0] = 1;
        var quantized = new Int8Query(query, scale);

        float miss = MathF.Abs(quantized.Score(Dot(row, scale, quantized)) - DotProduct.Compute(query, row));

        Assert.InRange(miss, 0.95f * quantized.ErrorBound, quantized.ErrorBound);
    }

    [Fact]
    public void Values_stay_within_63_and_reach_it()
    {
        var query = new Int8Query([-2, 1, 0.5f, 0, 1e-9f], 0.01f);

        Assert.Equal([-63, 32, 16, 0, 0, 0, 0, 0], query.Values.ToArray().Select(value => (int)value));
        Assert.Equal(5, query.Dimensions);
    }

    [Fact]
    public void Scores_are_dots_times_the_factor_plus_the_offset()
    {
        var query = new Int8Query(Vectors.Random(64, seed: 1), 0.002f);

        foreach (int dot in new[] { -100_000, -1, 0, 77, 250_000 }) Assert.Equal((dot * query.Factor) + query.Offset, query.Score(dot), 1e-4f);
    }

    [Fact]
    public void A_query_of_zeros_scores_zero_and_its_threshold_passes_all_or_none()
    {
        var query = new Int8Query(new float[8], 0.01f);

        Assert.Equal(0f, query.Score(12_345));
        Assert.Equal(0f, query.ErrorBound);
        Assert.Equal(int.MinValue, query.ThresholdFor(0));
        Assert.Equal(int.MaxValue, query.ThresholdFor(0.1f));
    }

    [Theory]
    [InlineData(-0.7f)]
    [InlineData(0f)]
    [InlineData(0.25f)]
    public void Dots_above_the_threshold_are_those_that_score_as_much(float score)
    {
        var query = new Int8Query(Vectors.Random(32, seed: 5), 0.004f);

        int threshold = query.ThresholdFor(score);

        Assert.True(query.Score(threshold + 1) >= score - 1e-6f);
        Assert.True(query.Score(threshold) < score + 1e-6f);
        Assert.True(query.Score(threshold + 1) > query.Score(threshold));
    }

    [Fact]
    public void Thresholds_beyond_every_dot_saturate()
    {
        var query = new Int8Query([1, -1], 1e-6f);

        Assert.Equal(int.MaxValue, query.ThresholdFor(float.PositiveInfinity));
        Assert.Equal(int.MinValue, query.ThresholdFor(float.NegativeInfinity));
        Assert.Equal(int.MinValue, query.ThresholdFor(float.NaN));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_query_that_is_not_finite_is_refused(float component) =>
        Assert.Throws<ArgumentException>(() => new Int8Query([0, component], 0.01f));

    private static int Dot(float[] row, float scale, Int8Query query)
    {
        var blocks = new byte[Int8Rows.GroupBytes(row.Length)];
        Int8Rows.Write(row, scale, blocks, 5);
        int dot = 0;
        for (int d = 0; d < row.Length; d++) dot += Int8Rows.At(blocks, Int8Rows.RowBytes(row.Length), 5, d) * query.Values[d];
        return dot;
    }

    private static float[] Unit(float[] vector)
    {
        L2Normalizer.Normalize(vector);
        return vector;
    }
}
