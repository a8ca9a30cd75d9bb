using System.Runtime.InteropServices;

namespace Mesh.Numerics;

/// <summary>
/// The clusters nearest to a query, by dot product with their centroids in float32. Where a rounding of the last places may go
/// either way, scan the centroids as <see cref="Int8Rows"/> instead: a quarter of the bytes.
/// </summary>
public static class Centroids
{
    /// <summary>Scores all centroids and picks the best, unsorted; ties go to the lower ordinal. NaN sorts above all: refuse it before.</summary>
    /// <param name="centroids">Row-major, query.Length numbers each.</param>
    /// <param name="scores">Scratch, one per centroid: the first places get the scores of what is returned, as <see cref="TopSelect.ToOrdered"/>.</param>
    /// <param name="ordinals">Scratch, one per centroid.</param>
    /// <returns>Ordinals of the nearest, min(<paramref name="probes"/>, centroids) of them, in the memory of <paramref name="ordinals"/>.</returns>
    /// <exception cref="ArgumentException">Sizes do not fit together, or probes is below 0.</exception>
    public static ReadOnlySpan<int> Nearest(ReadOnlySpan<float> query, ReadOnlySpan<float> centroids, int probes, Span<int> scores, Span<int> ordinals)
    {
        // Floats are scored into the place of the ints, and made ints of the same order one by one.
        Span<float> floats = MemoryMarshal.Cast<int, float>(scores);
        RowDots.Compute(query, centroids, floats);
        for (int i = 0; i < scores.Length; i++)
        {
            scores[i] = TopSelect.ToOrdered(floats[i]);
            ordinals[i] = i;
        }

        TopSelect.Keep(scores, ordinals, probes);
        return ordinals[..Math.Min(probes, ordinals.Length)];
    }
}
