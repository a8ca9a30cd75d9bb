namespace Mesh.Numerics;

/// <summary>
/// Signed random projection of sparse features to a few dense dimensions. Each feature owns a row of +1 and -1, which is
/// never stored: its signs are the bits of a hash of (seed, feature), 64 dimensions per hash. Angles between sparse vectors
/// are kept up to noise of about 1 / sqrt(dimensions). The same in every process.
/// </summary>
public sealed class RandomProjection
{
    private readonly ulong _seed;

    public RandomProjection(int dimensions, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        Dimensions = dimensions;
        _seed = StableHash.Mix(seed);
    }

    public int Dimensions { get; }

    /// <summary>Adds weight x (the feature's row of signs) to <paramref name="target"/>, [dimensions].</summary>
    public void Add(Span<float> target, uint feature, float weight)
    {
        if (target.Length != Dimensions) throw new ArgumentException($"The target has {target.Length} dimensions, not {Dimensions}.", nameof(target));

        ulong signs = 0;
        for (int d = 0; d < target.Length; d++)
        {
            if (d % 64 == 0) signs = StableHash.Mix(_seed ^ (((ulong)feature << 16) | (uint)(d / 64)));
            target[d] += (signs & 1) == 0 ? weight : -weight;
            signs >>= 1;
        }
    }

    /// <summary>One sign, +1 or -1: the entry of the matrix at (feature, dimension). The slow reference of <see cref="Add"/>.</summary>
    internal int Sign(uint feature, int dimension)
    {
        ulong signs = StableHash.Mix(_seed ^ (((ulong)feature << 16) | (uint)(dimension / 64)));
        return ((signs >> (dimension % 64)) & 1) == 0 ? 1 : -1;
    }
}
