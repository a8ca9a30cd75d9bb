namespace Mesh.Numerics.Tests;

public sealed class HashingTests
{
    // These values come from a second implementation and are written down, not computed: stored embeddings and dedupe windows depend on them for ever.
    [Theory]
    [InlineData("", 0xC3817C016BA4FF30)]
    [InlineData("cat", 0x0C14D5C6BAB9D877)]
    [InlineData("Straße 猫", 0x18AF4AA791167183)]
    public void StableHash_is_the_same_in_every_process(string text, ulong expected) => Assert.Equal(expected, StableHash.Compute(text));

    [Fact]
    public void FeatureHasher_uses_every_bucket_about_equally_and_both_signs_alike()
    {
        var hasher = new FeatureHasher(6);
        var perBucket = new int[hasher.Buckets];
        int signs = 0;
        for (int i = 0; i < 64_000; i++)
        {
            (uint bucket, int sign) = hasher.Hash('t', $"token{i}");
            perBucket[bucket]++;
            signs += sign;
        }

        // 1,000 per bucket expected, standard deviation 31: six of them either way.
        Assert.All(perBucket, count => Assert.InRange(count, 810, 1_190));
        Assert.InRange(signs, -1_520, 1_520);
    }

    [Fact]
    public void FeatureHasher_keeps_the_same_token_of_two_fields_apart()
    {
        var hasher = new FeatureHasher(20);
        int same = Enumerable.Range(0, 1_000).Count(i => hasher.Hash('t', $"w{i}").Bucket == hasher.Hash('g', $"w{i}").Bucket);

        Assert.InRange(same, 0, 3);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(1)]
    [InlineData(100)]
    public void RandomProjection_adds_the_signs_of_its_reference(int dimensions)
    {
        var projection = new RandomProjection(dimensions, seed: 7);
        var target = new float[dimensions];

        projection.Add(target, 5, 2f);
        projection.Add(target, 123_456, -0.5f);

        for (int d = 0; d < dimensions; d++)
        {
            Assert.Equal((projection.Sign(5, d) * 2f) - (projection.Sign(123_456, d) * 0.5f), target[d]);
        }
    }

    [Fact]
    public void RandomProjection_keeps_angles_up_to_the_noise_of_its_dimensions()
    {
        var projection = new RandomProjection(256, seed: 7);
        float worst = 0;
        for (uint pair = 0; pair < 50; pair++)
        {
            // Ten features each, five shared: cosine 0.5 before.
            var x = new float[256];
            var y = new float[256];
            for (uint f = 0; f < 10; f++)
            {
                projection.Add(x, (pair * 100) + f, 1);
                projection.Add(y, (pair * 100) + f + 5, 1);
            }

            worst = MathF.Max(worst, MathF.Abs(DotProduct.Cosine(x, y) - 0.5f));
        }

        // 1 / sqrt(256) = 0.06 is the standard deviation of the noise.
        Assert.InRange(worst, 0.001f, 0.25f);
    }

    [Fact]
    public void RandomProjection_of_another_seed_is_another()
    {
        var one = new RandomProjection(64, seed: 1);
        var other = new RandomProjection(64, seed: 2);

        Assert.InRange(Enumerable.Range(0, 64).Count(d => one.Sign(9, d) == other.Sign(9, d)), 12, 52);
    }
}
