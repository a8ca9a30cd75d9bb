namespace Mesh.Numerics;

/// <summary>
/// A query for rows of <see cref="Int8Rows"/>: signed bytes within -63..63, so that two products with unsigned bytes fit an int16
/// (255 * 63 * 2 = 32,130), and the constants that turn an integer dot product into a score: score = dot * Factor + Offset.
/// Immutable, so threads share it.
/// </summary>
public sealed class Int8Query
{
    private const int Limit = 63;
    private readonly sbyte[] _values;
    private readonly double _factor;
    private readonly double _offset;

    /// <summary>Quantises a query by its own largest component. A query of zeros scores every row 0.</summary>
    /// <param name="query">Finite components; any length of vector.</param>
    /// <param name="scale">The scale of the rows.</param>
    /// <exception cref="ArgumentException">A component, or the scale, is not finite.</exception>
    public Int8Query(ReadOnlySpan<float> query, float scale)
    {
        if (!(scale > 0) || !float.IsFinite(scale)) throw new ArgumentOutOfRangeException(nameof(scale), scale, "The scale must be above 0 and finite.");
        Dimensions = query.Length;
        _values = new sbyte[Int8Rows.RowBytes(query.Length)];
        float largest = 0;
        double absoluteSum = 0;
        foreach (float component in query)
        {
            if (!float.IsFinite(component)) throw new ArgumentException($"A query's components must be finite; one is {component}.", nameof(query));
            largest = MathF.Max(largest, MathF.Abs(component));
            absoluteSum += Math.Abs(component);
        }

        if (largest == 0) return;
        double step = (double)largest / Limit;
        int sum = 0;
        for (int i = 0; i < query.Length; i++)
        {
            _values[i] = (sbyte)Math.Round(query[i] / step);
            sum += _values[i];
        }

        _factor = scale * step;
        _offset = -Int8Rows.Zero * _factor * sum;
        ErrorBound = (float)((0.5 * scale * absoluteSum) + (0.5 * step * Math.Sqrt(query.Length)) + (0.25 * scale * step * query.Length));
    }

    /// <summary>Dimensions of the query, before padding.</summary>
    public int Dimensions { get; }

    /// <summary>Score per unit of the dot product; 0 for a query of zeros.</summary>
    public float Factor => (float)_factor;

    /// <summary>What the 128 in every byte adds, taken away again.</summary>
    public float Offset => (float)_offset;

    /// <summary>
    /// The most by which <see cref="Score"/> can miss the float32 dot product with a row of length 1 none of whose components was
    /// limited, up to float rounding. With steps s of the rows and t of the query, in d dimensions:
    /// s/2 * sum|q| + t/2 * sum|x| + d*s*t/4, where sum|x| is at most sqrt(d). A limited component adds what was cut off times |q|.
    /// In practice errors have both signs, and the miss is about sqrt(d) times smaller.
    /// </summary>
    public float ErrorBound { get; }

    /// <summary>The signed bytes, padded with zeros to <see cref="Int8Rows.RowBytes"/>.</summary>
    public ReadOnlySpan<sbyte> Values => _values;

    /// <summary>Approximate dot product of the query and the row, in their unit; larger is closer.</summary>
    public float Score(int dot) => (float)((dot * _factor) + _offset);

    /// <summary>
    /// The threshold that passes every dot whose score is at least <paramref name="score"/> and no other, up to rounding:
    /// a scan keeps dots above it.
    /// </summary>
    public int ThresholdFor(float score)
    {
        // A score of NaN or minus infinity bounds nothing. The conversion from double saturates.
        if (!(score > float.NegativeInfinity)) return int.MinValue;
        if (_factor == 0) return score <= 0 ? int.MinValue : int.MaxValue;
        return (int)(Math.Ceiling((score - _offset) / _factor) - 1);
    }
}
