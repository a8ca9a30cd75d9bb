namespace Mesh.Numerics;

/// <summary>
/// A checksum of a set of (id, version) pairs that does not depend on their order: the sum, modulo 2^64, of one well mixed number a pair. Two sets that
/// differ have equal sums by a chance of 2^-64. No protection against who chooses ids to make them equal.
/// </summary>
public struct RowSetDigest
{
    /// <summary>The checksum; 0 of no pairs.</summary>
    public ulong Value { get; private set; }

    /// <summary>Pairs added.</summary>
    public long Count { get; private set; }

    /// <summary>Adds a pair that was not added before.</summary>
    public void Add(ReadOnlySpan<char> id, ulong version)
    {
        Value += StableHash.Mix(StableHash.Compute(id) + StableHash.Mix(version));
        Count++;
    }
}
