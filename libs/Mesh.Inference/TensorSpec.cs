using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Mesh.Inference;

/// <summary>Name, element type and shape of an input or output; -1 stands for any length.</summary>
public sealed record TensorSpec(string Name, TensorElement Element, IReadOnlyList<long> Shape)
{
    public override string ToString() => $"{Name} {Element}[{string.Join(',', Shape)}]";

    /// <summary>A buffer of this shape, its free dimensions filled in order.</summary>
    public TensorBuffer Allocate(params ReadOnlySpan<long> free)
    {
        var shape = new long[Shape.Count];
        int next = 0;
        for (int i = 0; i < shape.Length; i++) shape[i] = Shape[i] >= 0 ? Shape[i] : free[next++];
        return new TensorBuffer(Element, shape);
    }

    /// <summary>Whether a tensor of the other shape can be one of this: equal, or free on either side.</summary>
    internal bool Fits(TensorElement element, IReadOnlyList<long> shape)
    {
        bool fits = element == Element && shape.Count == Shape.Count;
        for (int i = 0; fits && i < shape.Count; i++) fits = shape[i] < 0 || Shape[i] < 0 || shape[i] == Shape[i];
        return fits;
    }

    internal static TensorSpec Of(string graph, string name, NodeMetadata metadata)
    {
        TensorElement element = metadata.IsTensor
            ? metadata.ElementDataType switch
            {
                TensorElementType.Float => TensorElement.Float,
                TensorElementType.Int64 => TensorElement.Int64,
                _ => throw new ModelRejectedException($"{graph}: '{name}' is {metadata.ElementDataType}; a tensor here is Float or Int64."),
            }
            : throw new ModelRejectedException($"{graph}: '{name}' is {metadata.OnnxValueType}; it must be a tensor.");
        return new TensorSpec(name, element, [.. metadata.Dimensions.Select(dimension => (long)dimension)]);
    }
}
