using System.Numerics.Tensors;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Rows whose semantic IDs begin alike: its segments, and the direction of its live vectors' mean, by which a search finds it. Written by
/// the writer, read by every request.
/// </summary>
/// <param name="ordinal">Its number among the clusters of the index.</param>
internal sealed class Cluster(int dimensions, int ordinal, bool isAlwaysProbed)
{
    private readonly double[] _sum = new double[dimensions];
    private volatile int[] _segments = [];
    private volatile float[] _centroid = new float[dimensions];
    private int _rows;  // live ones
    private int _stale; // rows that came or went since the centroid was made

    public int Ordinal => ordinal;

    /// <summary>Whether its rows have nothing in common: those without codes.</summary>
    public bool IsAlwaysProbed => isAlwaysProbed;

    /// <summary>Numbers of its segments, all full but the last.</summary>
    public ReadOnlySpan<int> Segments => _segments;

    /// <summary>The mean of the live vectors, as a unit vector, as of at most a sixteenth of them ago. Never written again.</summary>
    public ReadOnlySpan<float> Centroid => _centroid;

    /// <summary>Writer only. Places used in the last segment.</summary>
    public int TailRows { get; set; }

    public long Bytes => 12L * dimensions + 4L * _segments.Length + 200;

    /// <summary>Writer only.</summary>
    public void Append(int segment) => _segments = [.. _segments, segment];

    /// <summary>Writer only.</summary>
    public void Append(ReadOnlySpan<int> segments) => _segments = [.. _segments, .. segments];

    /// <summary>Writer only. A vector came (+1) or went (-1).</summary>
    /// <returns>Whether the centroid is another now.</returns>
    public bool Account(ReadOnlySpan<float> vector, int by)
    {
        for (int d = 0; d < _sum.Length; d++) _sum[d] += by * vector[d];
        _rows += by;
        if (++_stale * 16 < _rows) return false;
        Refresh();
        return true;
    }

    /// <summary>Writer only. Many vectors came.</summary>
    /// <param name="sum">Of the vectors, by dimension.</param>
    public void Account(ReadOnlySpan<double> sum, int rows)
    {
        for (int d = 0; d < _sum.Length; d++) _sum[d] += sum[d];
        _rows += rows;
        Refresh();
    }

    private void Refresh()
    {
        _stale = 0;
        var centroid = new float[_sum.Length];
        if (_rows > 0)
        {
            TensorPrimitives.ConvertTruncating<double, float>(_sum, centroid);
            float length = TensorPrimitives.Norm<float>(centroid);
            if (length > 0) TensorPrimitives.Divide(centroid, length, centroid);
        }

        _centroid = centroid;
    }
}
