using System.Numerics.Tensors;

namespace Mesh.Numerics;

/// <summary>
/// Dot product of two float32 vectors: sum of x[i] * y[i]. Of two unit vectors it is their cosine, -1..1, larger is closer.
/// </summary>
public static class DotProduct
{
    /// <summary>
    /// Dot product by the widest vector unit there is. Differs from <see cref="Scalar"/> by the order of the additions
    /// only: at most about 1e-7 times the length, relative to sum |x[i] * y[i]|. NaN in, NaN out.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static float Compute(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        if (x.Length != y.Length) throw new ArgumentException($"Vectors must have the same length, not {x.Length} and {y.Length}.", nameof(y));

        return TensorPrimitives.Dot(x, y);
    }

    /// <summary>Cosine of any two vectors, -1..1; 0 where one of them is all zeros.</summary>
    public static float Cosine(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        float norms = MathF.Sqrt(Compute(x, x)) * MathF.Sqrt(Compute(y, y));
        return norms > 0 ? Math.Clamp(Compute(x, y) / norms, -1f, 1f) : 0f;
    }

    // Reference: what Compute must agree with up to rounding.
    internal static float Scalar(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        float sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}
