using Mesh.Numerics;

namespace Mesh.Benchmarks.Ann;

/// <summary>Clusters by k-means, for where FAISS's are not at hand.</summary>
internal static class AnnClusters
{
    private const int RowsPerCluster = 16, Iterations = 6;

    /// <summary>Nearest centroid of each row.</summary>
    public static int[] Fit(AnnData data, int clusters, CancellationToken cancellation)
    {
        int sample = Math.Min(data.Rows, RowsPerCluster * clusters); // rows are in no order, so the first are as good as any
        ResidualCodebooks codebooks = ResidualKMeans.Fit(data.Vectors[..(sample * data.Dimensions)], data.Dimensions, new ResidualKMeansSettings(1, clusters, Iterations), cancellation).Codebooks;
        var nearest = new int[data.Rows];
        Parallel.For(0, data.Rows, new ParallelOptions { CancellationToken = cancellation }, row =>
        {
            Span<ushort> code = stackalloc ushort[1];
            codebooks.Encode(data.Vector(row), code);
            nearest[row] = code[0];
        });
        return nearest;
    }
}
