using System.Numerics.Tensors;

namespace Mesh.Numerics;

/// <summary>How a fit of residual k-means is done.</summary>
/// <param name="Levels">Codebooks, coarse to fine.</param>
/// <param name="CodesPerLevel">Centroids in each.</param>
/// <param name="Iterations">Most rounds of Lloyd's algorithm per level; it stops earlier once no row changes its centroid.</param>
/// <param name="Seed">The same rows and the same seed give the same codebooks.</param>
public sealed record ResidualKMeansSettings(int Levels = 3, int CodesPerLevel = 256, int Iterations = 12, int Seed = 1);

/// <summary>What a fit gave.</summary>
/// <param name="Codebooks">The codebooks.</param>
/// <param name="ErrorByLevel">Mean squared distance between a row and its reconstruction from the levels up to this one; [levels], not growing.</param>
/// <param name="Variance">Mean squared distance between a row and the mean of all rows: what one single centroid would leave.</param>
public sealed record ResidualKMeansFit(ResidualCodebooks Codebooks, IReadOnlyList<double> ErrorByLevel, double Variance);

/// <summary>
/// Fits residual codebooks: k-means on the rows, then k-means on what is left of each, level by level. k-means++ chooses the
/// first centroids, Lloyd's rounds move them, and a centroid that loses all its rows moves to the row that is served worst.
/// Not for the hot path: rows x codes x dimensions x rounds multiplications.
/// </summary>
public static class ResidualKMeans
{
    /// <summary>Fits on rows [count, dimensions]. Fewer rows than codes is fine: the codes left over are copies that nothing is encoded to.</summary>
    /// <exception cref="ArgumentException">There is no row, or the array is not count x dimensions.</exception>
    public static ResidualKMeansFit Fit(ReadOnlySpan<float> rows, int dimensions, ResidualKMeansSettings settings, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        if (rows.IsEmpty || rows.Length % dimensions != 0)
        {
            throw new ArgumentException($"{rows.Length} values are not one or more rows of {dimensions} dimensions.", nameof(rows));
        }

        float[] residuals = rows.ToArray();
        int count = rows.Length / dimensions;
        var random = new Random(settings.Seed);
        var centroids = new float[settings.Levels * settings.CodesPerLevel * dimensions];
        var errors = new double[settings.Levels];
        double variance = Variance(residuals, count, dimensions);
        for (int level = 0; level < settings.Levels; level++)
        {
            Span<float> codebook = centroids.AsSpan(level * settings.CodesPerLevel * dimensions, settings.CodesPerLevel * dimensions);
            var fit = new Level(residuals, count, dimensions, settings.CodesPerLevel);
            fit.Seed(codebook, random);
            fit.Refine(codebook, settings.Iterations, cancellation);
            errors[level] = fit.SubtractNearest(codebook);
        }

        return new ResidualKMeansFit(new ResidualCodebooks(settings.Levels, settings.CodesPerLevel, dimensions, centroids), errors, variance);
    }

    private static double Variance(float[] rows, int count, int dimensions)
    {
        var mean = new double[dimensions];
        for (int i = 0; i < rows.Length; i++) mean[i % dimensions] += rows[i];
        for (int d = 0; d < dimensions; d++) mean[d] /= count;

        double sum = 0;
        for (int i = 0; i < rows.Length; i++)
        {
            double distance = rows[i] - mean[i % dimensions];
            sum += distance * distance;
        }

        return sum / count;
    }

    /// <summary>One level: plain k-means over [count, dimensions].</summary>
    private sealed class Level(float[] rows, int count, int dimensions, int codes)
    {
        private readonly int[] _assigned = new int[count];
        private readonly float[] _distances = new float[count];

        // k-means++: each next centroid is a row drawn with probability in proportion to its squared distance to the nearest
        // centroid so far. Once every distance is zero (fewer distinct rows than codes) the rest are copies of the first:
        // ties go to the lower code, so nothing is ever encoded to a copy.
        public void Seed(Span<float> codebook, Random random)
        {
            Row(random.Next(count)).CopyTo(codebook[..dimensions]);
            Array.Fill(_distances, float.PositiveInfinity);
            for (int code = 1; code < codes; code++)
            {
                double total = 0;
                ReadOnlySpan<float> newest = codebook.Slice((code - 1) * dimensions, dimensions);
                for (int i = 0; i < count; i++)
                {
                    _distances[i] = MathF.Min(_distances[i], SquaredDistance(Row(i), newest));
                    total += _distances[i];
                }

                int chosen = Draw(random.NextDouble() * total);
                Span<float> target = codebook.Slice(code * dimensions, dimensions);
                if (_distances[chosen] > 0) Row(chosen).CopyTo(target);
                else codebook[..dimensions].CopyTo(target);
            }
        }

        public void Refine(Span<float> codebook, int iterations, CancellationToken cancellation)
        {
            Array.Fill(_assigned, -1);
            for (int iteration = 0; iteration < iterations; iteration++)
            {
                cancellation.ThrowIfCancellationRequested();
                if (!Assign(codebook)) return;
                MoveToMeans(codebook);
            }
        }

        /// <summary>Leaves the residuals in the rows and returns their mean squared length.</summary>
        public double SubtractNearest(Span<float> codebook)
        {
            Assign(codebook);
            double sum = 0;
            for (int i = 0; i < count; i++)
            {
                Span<float> row = rows.AsSpan(i * dimensions, dimensions);
                TensorPrimitives.Subtract(row, codebook.Slice(_assigned[i] * dimensions, dimensions), row);
                sum += TensorPrimitives.SumOfSquares((ReadOnlySpan<float>)row);
            }

            return sum / count;
        }

        private ReadOnlySpan<float> Row(int i) => rows.AsSpan(i * dimensions, dimensions);

        private bool Assign(ReadOnlySpan<float> codebook)
        {
            var halfNorms = new float[codes];
            for (int code = 0; code < codes; code++)
            {
                halfNorms[code] = TensorPrimitives.SumOfSquares(codebook.Slice(code * dimensions, dimensions)) / 2;
            }

            bool changed = false;
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<float> row = Row(i);
                int best = 0;
                float bestScore = float.NegativeInfinity;
                for (int code = 0; code < codes; code++)
                {
                    float score = DotProduct.Compute(row, codebook.Slice(code * dimensions, dimensions)) - halfNorms[code];
                    if (score > bestScore) (best, bestScore) = (code, score);
                }

                changed |= _assigned[i] != best;
                _assigned[i] = best;
                _distances[i] = MathF.Max(0, TensorPrimitives.SumOfSquares(row) - (2 * bestScore));
            }

            return changed;
        }

        private void MoveToMeans(Span<float> codebook)
        {
            var sums = new double[codes * dimensions];
            var members = new int[codes];
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<float> row = Row(i);
                Span<double> sum = sums.AsSpan(_assigned[i] * dimensions, dimensions);
                for (int d = 0; d < row.Length; d++) sum[d] += row[d];
                members[_assigned[i]]++;
            }

            for (int code = 0; code < codes; code++)
            {
                Span<float> centroid = codebook.Slice(code * dimensions, dimensions);
                if (members[code] == 0)
                {
                    ReseedAtWorst(centroid);
                    continue;
                }

                for (int d = 0; d < dimensions; d++) centroid[d] = (float)(sums[(code * dimensions) + d] / members[code]);
            }
        }

        // An empty cluster takes the row farthest from its centroid; that row's distance is then spent, so that the next
        // empty cluster takes another.
        private void ReseedAtWorst(Span<float> centroid)
        {
            int worst = TensorPrimitives.IndexOfMax((ReadOnlySpan<float>)_distances);
            if (_distances[worst] <= 0) return;
            Row(worst).CopyTo(centroid);
            _distances[worst] = 0;
        }

        private int Draw(double target)
        {
            int last = 0;
            for (int i = 0; i < count; i++)
            {
                if (_distances[i] <= 0) continue;
                last = i;
                target -= _distances[i];
                if (target <= 0) return i;
            }

            return last;
        }

        private static float SquaredDistance(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
        {
            float distance = TensorPrimitives.Distance(x, y);
            return distance * distance;
        }
    }
}
