using System.Numerics.Tensors;

namespace Mesh.Numerics;

/// <summary>Scales a vector to length 1: x[i] / sqrt(sum of x[j]^2), in place.</summary>
public static class L2Normalizer
{
    /// <summary>
    /// Normalises in place. A vector of zeros, and one whose norm is not finite, has no direction: it is left as it is.
    /// </summary>
    /// <returns>The norm before, in the vector's own unit; 0 or a non-finite number means that nothing was changed.</returns>
    public static float Normalize(Span<float> vector)
    {
        float norm = TensorPrimitives.Norm((ReadOnlySpan<float>)vector);
        if (norm > 0 && float.IsFinite(norm)) TensorPrimitives.Divide(vector, norm, vector);
        return norm;
    }

    // Reference.
    internal static float Scalar(Span<float> vector)
    {
        float sum = 0;
        foreach (float value in vector) sum += value * value;
        float norm = MathF.Sqrt(sum);
        if (norm > 0 && float.IsFinite(norm))
        {
            for (int i = 0; i < vector.Length; i++) vector[i] /= norm;
        }

        return norm;
    }
}
