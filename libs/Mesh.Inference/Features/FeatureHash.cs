using System.Runtime.CompilerServices;
using Mesh.Numerics;

namespace Mesh.Inference.Features;

/// <summary>
/// Buckets of words and ids: hash(field, token) = Mix(Compute(token) ^ field * 2^40), its k-th 32 bits modulo the buckets. Bucket 0
/// is padding. The field keeps the word "video" apart from the kind "video".
/// </summary>
internal static class FeatureHash
{
    public const char Author = 'a', Tag = 'g', Language = 'l', Kind = 'v', Word = 't', Surface = 's';

    /// <summary>Buckets of surfaces, 0 (none) included.</summary>
    public const int SurfaceBuckets = 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Compute(char field, ReadOnlySpan<char> token) => StableHash.Mix(StableHash.Compute(token) ^ ((ulong)field << 40));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Bucket(ulong hash, int k, int buckets) => (long)(((hash >> (32 * k)) & 0xffffffff) % (ulong)(buckets - 1)) + 1;

    /// <summary>Both buckets of an author; 0, 0 for none.</summary>
    public static void Authors(ReadOnlySpan<char> authorId, int buckets, Span<long> two)
    {
        if (authorId.IsEmpty)
        {
            two[..2].Clear();
            return;
        }

        ulong hash = Compute(Author, authorId);
        two[0] = Bucket(hash, 0, buckets);
        two[1] = Bucket(hash, 1, buckets);
    }

    public static long SurfaceOf(ReadOnlySpan<char> name) => name.IsEmpty ? 0 : (long)(Compute(Surface, name) % (SurfaceBuckets - 1)) + 1;
}
