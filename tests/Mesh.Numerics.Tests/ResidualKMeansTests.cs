namespace Mesh.Numerics.Tests;

public sealed class ResidualKMeansTests
{
    private const int Dimensions = 16;

    [Fact]
    public void Each_level_leaves_less_error_than_the_one_before()
    {
        float[] rows = Clustered(clusters: 40, perCluster: 30);

        ResidualKMeansFit fit = ResidualKMeans.Fit(rows, Dimensions, new ResidualKMeansSettings(Levels: 3, CodesPerLevel: 16));

        Assert.True(fit.ErrorByLevel[0] < fit.Variance * 0.7, $"{fit.ErrorByLevel[0]} of {fit.Variance}");
        Assert.True(fit.ErrorByLevel[1] < fit.ErrorByLevel[0] * 0.7);
        Assert.True(fit.ErrorByLevel[2] < fit.ErrorByLevel[1]);
    }

    [Fact]
    public void The_reported_error_is_that_of_encoding_and_decoding_every_row()
    {
        float[] rows = Clustered(clusters: 20, perCluster: 20);
        ResidualKMeansFit fit = ResidualKMeans.Fit(rows, Dimensions, new ResidualKMeansSettings(Levels: 2, CodesPerLevel: 8));

        for (int levels = 1; levels <= 2; levels++)
        {
            Assert.Equal(fit.ErrorByLevel[levels - 1], ReconstructionError(fit.Codebooks, rows, levels), 1e-4);
        }
    }

    [Fact]
    public void Well_separated_clusters_get_a_code_each()
    {
        float[] rows = Clustered(clusters: 8, perCluster: 50, spread: 0.01f);

        ResidualKMeansFit fit = ResidualKMeans.Fit(rows, Dimensions, new ResidualKMeansSettings(Levels: 1, CodesPerLevel: 8, Iterations: 30));

        HashSet<ushort>[] codesOfCluster = [.. Enumerable.Range(0, 8).Select(cluster =>
            Enumerable.Range(cluster * 50, 50).Select(row => Encode(fit.Codebooks, rows, row)[0]).ToHashSet())];
        Assert.All(codesOfCluster, codes => Assert.Single(codes));
        Assert.Equal(8, codesOfCluster.SelectMany(codes => codes).Distinct().Count());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void Fewer_rows_than_codes_are_reconstructed_exactly(int count)
    {
        float[] rows = Vectors.Random(count * Dimensions, seed: 1);

        ResidualKMeansFit fit = ResidualKMeans.Fit(rows, Dimensions, new ResidualKMeansSettings(Levels: 3, CodesPerLevel: 256));

        Assert.Equal(0, fit.ErrorByLevel[2], 1e-9);
        Assert.Equal(count, Enumerable.Range(0, count).Select(row => Encode(fit.Codebooks, rows, row)[0]).Distinct().Count());
        Assert.True(fit.Codebooks.Centroids.ToArray().All(float.IsFinite));
    }

    [Fact]
    public void Equal_rows_make_no_code_that_nothing_is_encoded_to_win()
    {
        float[] rows = [.. Enumerable.Repeat(Vectors.Random(Dimensions, seed: 2), 30).SelectMany(row => row)];

        ResidualKMeansFit fit = ResidualKMeans.Fit(rows, Dimensions, new ResidualKMeansSettings(Levels: 2, CodesPerLevel: 4));

        Assert.Equal(0, fit.ErrorByLevel[0], 1e-9);
        Assert.Equal([0, 0], Encode(fit.Codebooks, rows, 7).Select(code => (int)code));
    }

    [Fact]
    public void The_same_seed_gives_the_same_codebooks_and_another_seed_gives_others()
    {
        float[] rows = Clustered(clusters: 10, perCluster: 30);
        ResidualKMeansSettings settings = new(Levels: 2, CodesPerLevel: 8, Seed: 5);

        float[] first = ResidualKMeans.Fit(rows, Dimensions, settings).Codebooks.Centroids.ToArray();

        Assert.Equal(first, ResidualKMeans.Fit(rows, Dimensions, settings).Codebooks.Centroids.ToArray());
        Assert.NotEqual(first, ResidualKMeans.Fit(rows, Dimensions, settings with { Seed = 6 }).Codebooks.Centroids.ToArray());
    }

    [Fact]
    public void Encode_takes_the_nearest_centroid_of_a_full_search()
    {
        float[] centroids = Vectors.Random(2 * 8 * Dimensions, seed: 3);
        var codebooks = new ResidualCodebooks(2, 8, Dimensions, centroids);
        float[] rows = Vectors.Random(100 * Dimensions, seed: 4);
        for (int row = 0; row < 100; row++)
        {
            float[] residual = rows[(row * Dimensions)..((row + 1) * Dimensions)];
            ushort[] codes = Encode(codebooks, rows, row);
            for (int level = 0; level < 2; level++)
            {
                double[] distances = [.. Enumerable.Range(0, 8).Select(code => Distance(residual, codebooks.Centroid(level, code)))];
                Assert.Equal(distances.Min(), distances[codes[level]], 1e-5);
                residual = [.. residual.Zip(codebooks.Centroid(level, codes[level]).ToArray(), (x, c) => x - c)];
            }
        }
    }

    [Fact]
    public void Fit_refuses_no_rows_and_rows_of_another_width()
    {
        Assert.Throws<ArgumentException>(() => ResidualKMeans.Fit([], Dimensions, new ResidualKMeansSettings()));
        Assert.Throws<ArgumentException>(() => ResidualKMeans.Fit(new float[Dimensions + 1], Dimensions, new ResidualKMeansSettings()));
    }

    private static ushort[] Encode(ResidualCodebooks codebooks, float[] rows, int row)
    {
        var codes = new ushort[codebooks.Levels];
        codebooks.Encode(rows.AsSpan(row * Dimensions, Dimensions), codes);
        return codes;
    }

    private static double ReconstructionError(ResidualCodebooks codebooks, float[] rows, int levels)
    {
        double sum = 0;
        int count = rows.Length / Dimensions;
        var decoded = new float[Dimensions];
        for (int row = 0; row < count; row++)
        {
            codebooks.Decode(Encode(codebooks, rows, row).AsSpan(0, levels), decoded);
            sum += Distance(rows.AsSpan(row * Dimensions, Dimensions), decoded);
        }

        return sum / count;
    }

    private static double Distance(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += (x[i] - y[i]) * (double)(x[i] - y[i]);
        return sum;
    }

    private static float[] Clustered(int clusters, int perCluster, float spread = 0.1f)
    {
        float[] centers = Vectors.Random(clusters * Dimensions, seed: 11);
        float[] rows = Vectors.Random(clusters * perCluster * Dimensions, seed: 12);
        for (int i = 0; i < rows.Length; i++)
        {
            int cluster = i / Dimensions / perCluster;
            rows[i] = centers[(cluster * Dimensions) + (i % Dimensions)] + (spread * rows[i]);
        }

        return rows;
    }
}
