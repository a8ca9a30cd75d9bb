namespace Mesh.Numerics;

/// <summary>
/// Codebooks of residual quantisation: level 0 holds centroids of the vectors, level l centroids of what the levels before
/// left over. A vector's codes, coarse to fine, are its semantic ID. Immutable and safe to share.
/// </summary>
public sealed class ResidualCodebooks
{
    private readonly float[] _centroids;
    private readonly float[] _halfSquaredNorms;

    /// <summary>Takes ownership of the centroids: [levels, codes, dimensions], row-major.</summary>
    /// <exception cref="ArgumentException">The array's length is not levels x codes x dimensions, or codes do not fit 16 bits.</exception>
    public ResidualCodebooks(int levels, int codesPerLevel, int dimensions, float[] centroids)
    {
        ArgumentNullException.ThrowIfNull(centroids);
        ArgumentOutOfRangeException.ThrowIfLessThan(levels, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(codesPerLevel, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(codesPerLevel, ushort.MaxValue + 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        if (centroids.Length != (long)levels * codesPerLevel * dimensions)
        {
            throw new ArgumentException($"{centroids.Length} values are not {levels} x {codesPerLevel} x {dimensions}.", nameof(centroids));
        }

        Levels = levels;
        CodesPerLevel = codesPerLevel;
        Dimensions = dimensions;
        _centroids = centroids;
        _halfSquaredNorms = new float[levels * codesPerLevel];
        for (int i = 0; i < _halfSquaredNorms.Length; i++)
        {
            ReadOnlySpan<float> centroid = centroids.AsSpan(i * dimensions, dimensions);
            _halfSquaredNorms[i] = DotProduct.Compute(centroid, centroid) / 2;
        }
    }

    public int Levels { get; }

    public int CodesPerLevel { get; }

    public int Dimensions { get; }

    /// <summary>All centroids, [levels, codes, dimensions], row-major.</summary>
    public ReadOnlySpan<float> Centroids => _centroids;

    public ReadOnlySpan<float> Centroid(int level, int code)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)level, (uint)Levels, nameof(level));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)code, (uint)CodesPerLevel, nameof(code));
        return _centroids.AsSpan(((level * CodesPerLevel) + code) * Dimensions, Dimensions);
    }

    /// <summary>Codes of one vector: at each level the nearest centroid to what is left, the lower code on a tie.</summary>
    /// <param name="vector">[dimensions]</param>
    /// <param name="codes">[levels], written.</param>
    public void Encode(ReadOnlySpan<float> vector, Span<ushort> codes)
    {
        if (vector.Length != Dimensions) throw new ArgumentException($"The vector has {vector.Length} dimensions, the codebooks {Dimensions}.", nameof(vector));
        if (codes.Length != Levels) throw new ArgumentException($"There is room for {codes.Length} codes, not {Levels}.", nameof(codes));

        Span<float> residual = Dimensions <= 256 ? stackalloc float[256] : new float[Dimensions];
        residual = residual[..Dimensions];
        vector.CopyTo(residual);
        for (int level = 0; level < Levels; level++)
        {
            int code = Nearest(level, residual);
            codes[level] = (ushort)code;
            ReadOnlySpan<float> centroid = Centroid(level, code);
            for (int d = 0; d < residual.Length; d++) residual[d] -= centroid[d];
        }
    }

    /// <summary>The vector that codes stand for: the sum of their centroids. Fewer codes than levels give a coarser one.</summary>
    public void Decode(ReadOnlySpan<ushort> codes, Span<float> vector)
    {
        if (codes.Length > Levels) throw new ArgumentException($"{codes.Length} codes are more than the {Levels} levels.", nameof(codes));
        if (vector.Length != Dimensions) throw new ArgumentException($"The vector has {vector.Length} dimensions, the codebooks {Dimensions}.", nameof(vector));

        vector.Clear();
        for (int level = 0; level < codes.Length; level++)
        {
            ReadOnlySpan<float> centroid = Centroid(level, codes[level]);
            for (int d = 0; d < vector.Length; d++) vector[d] += centroid[d];
        }
    }

    // argmin |x - c|^2 = argmax x.c - |c|^2 / 2: one dot product per centroid, the norms computed once.
    private int Nearest(int level, ReadOnlySpan<float> vector)
    {
        int best = 0;
        float bestScore = float.NegativeInfinity;
        int first = level * CodesPerLevel;
        for (int code = 0; code < CodesPerLevel; code++)
        {
            float score = DotProduct.Compute(vector, _centroids.AsSpan((first + code) * Dimensions, Dimensions)) - _halfSquaredNorms[first + code];
            if (score > bestScore)
            {
                bestScore = score;
                best = code;
            }
        }

        return best;
    }
}
