using Mesh.Numerics;

namespace Mesh.Benchmarks.Ann;

/// <summary>Codes by residual k-means: clusters where FAISS's are not at hand, and semantic IDs.</summary>
internal static class AnnClusters
{
    private const int RowsPerCluster = 16, Iterations = 6;

    /// <summary>Codes of each row, coarse to fine.</summary>
    public static uint[][] Fit(AnnData data, int levels, int codesPerLevel, CancellationToken cancellation)
    {
        int sample = Math.Min(data.Rows, RowsPerCluster * codesPerLevel); // rows are in no order, so the first are as good as any
        ResidualCodebooks codebooks = ResidualKMeans.Fit(
            data.Vectors[..(sample * data.Dimensions)], data.Dimensions, new ResidualKMeansSettings(levels, codesPerLevel, Iterations), cancellation).Codebooks;
        var codes = new uint[data.Rows][];
        Parallel.For(0, data.Rows, new ParallelOptions { CancellationToken = cancellation }, row =>
        {
            Span<ushort> encoded = stackalloc ushort[levels];
            codebooks.Encode(data.Vector(row), encoded);
            codes[row] = new uint[levels];
            for (int level = 0; level < levels; level++) codes[row][level] = encoded[level];
        });
        return codes;
    }
}
