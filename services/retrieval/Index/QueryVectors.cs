using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Unit vectors that a search is for, row-major; an item's similarity is its largest cosine with any of them, -1..1,
/// larger is closer. Item vectors are unit vectors too, so the cosine is the dot product.
/// </summary>
internal sealed class QueryVectors(float[] values, int dimensions)
{
    public static readonly QueryVectors None = new([], 0);

    public int Dimensions => dimensions;

    public int Count => dimensions == 0 ? 0 : values.Length / dimensions;

    public ReadOnlySpan<float> this[int index] => values.AsSpan(index * dimensions, dimensions);

    /// <summary>The vectors one by one, as queries of their own.</summary>
    public IEnumerable<QueryVectors> Each() => Parts(1);

    /// <summary>The vectors in runs of at most so many.</summary>
    public IEnumerable<QueryVectors> Parts(int size)
    {
        for (int i = 0; i < Count; i += size) yield return new QueryVectors(values.AsSpan(i * dimensions, Math.Min(size, Count - i) * dimensions).ToArray(), dimensions);
    }

    public float Similarity(ReadOnlySpan<float> vector)
    {
        if (Count == 0 || vector.Length != dimensions) return 0;

        return Math.Clamp(Best(vector), -1, 1);
    }

    /// <summary>The largest dot product with any of the queries, of which there is one at least.</summary>
    public float Best(ReadOnlySpan<float> vector)
    {
        float best = DotProduct.Compute(this[0], vector);
        for (int i = 1; i < Count; i++) best = Math.Max(best, DotProduct.Compute(this[i], vector));
        return best;
    }
}
