namespace Mesh.Numerics.Tests;

public sealed class DotProductTests
{
    public static TheoryData<int> Lengths => [.. Enumerable.Range(0, 67), 96, 128, 129, 384];

    // Sums of up to 384 products of magnitude below 1 differ by their order only: 1e-7 per term.
    private static float Tolerance(int length) => 1e-7f * (length + 1);

    [Theory, MemberData(nameof(Lengths))]
    public void Compute_equals_the_scalar_reference_at_every_length(int length)
    {
        float[] x = Vectors.Random(length, seed: 1);
        float[] y = Vectors.Random(length, seed: 2);

        Assert.Equal(DotProduct.Scalar(x, y), DotProduct.Compute(x, y), Tolerance(length) * 4);
    }

    [Fact]
    public void Compute_refuses_vectors_of_different_lengths() =>
        Assert.Throws<ArgumentException>(() => DotProduct.Compute(new float[3], new float[4]));

    [Fact]
    public void Cosine_is_one_for_a_multiple_minus_one_for_the_opposite_and_zero_for_no_direction()
    {
        float[] x = Vectors.Random(64, seed: 3);

        Assert.Equal(1f, DotProduct.Cosine(x, [.. x.Select(value => 5 * value)]), 1e-6f);
        Assert.Equal(-1f, DotProduct.Cosine(x, [.. x.Select(value => -value)]), 1e-6f);
        Assert.Equal(0f, DotProduct.Cosine(x, new float[64]));
    }

    [Theory, MemberData(nameof(Lengths))]
    public void Normalize_equals_the_scalar_reference_and_gives_length_one(int length)
    {
        float[] fast = Vectors.Random(length, seed: 4);
        float[] reference = [.. fast];

        float norm = L2Normalizer.Normalize(fast);

        Assert.Equal(L2Normalizer.Scalar(reference), norm, 1e-5f);
        for (int i = 0; i < length; i++) Assert.Equal(reference[i], fast[i], 1e-6f);
        if (length > 0) Assert.Equal(1f, DotProduct.Compute(fast, fast), 1e-5f);
    }

    [Fact]
    public void Normalize_leaves_a_vector_without_a_direction_as_it_is()
    {
        float[] zeros = new float[8];
        float[] broken = [1, float.NaN, 2];
        float[] huge = [float.MaxValue, float.MaxValue];

        Assert.Equal(0f, L2Normalizer.Normalize(zeros));
        Assert.False(float.IsFinite(L2Normalizer.Normalize(broken)));
        L2Normalizer.Normalize(huge);

        Assert.All(zeros, value => Assert.Equal(0f, value));
        Assert.Equal(1f, broken[0]);
        Assert.All(huge, value => Assert.True(float.IsFinite(value)));
    }
}
