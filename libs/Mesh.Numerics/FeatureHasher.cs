namespace Mesh.Numerics;

/// <summary>
/// Signed feature hashing: a token of a field becomes one of 2^bits buckets and a sign, with no vocabulary to keep. Two
/// tokens that share a bucket agree in sign half of the time, so collisions cancel out instead of adding up.
/// </summary>
public sealed class FeatureHasher
{
    private readonly uint _mask;

    /// <param name="bits">Buckets are 2^bits, 1..30.</param>
    public FeatureHasher(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 30);
        _mask = (1u << bits) - 1;
        Buckets = 1 << bits;
    }

    public int Buckets { get; }

    /// <summary>Bucket (0 .. <see cref="Buckets"/> - 1) and sign (+1 or -1) of a token. The field ('t' text, 'g' tag, ...) keeps equal tokens of two fields apart.</summary>
    public (uint Bucket, int Sign) Hash(char field, ReadOnlySpan<char> token)
    {
        ulong hash = StableHash.Mix(StableHash.Compute(token) ^ ((ulong)field << 40));
        return ((uint)hash & _mask, hash >> 63 == 0 ? 1 : -1);
    }
}
