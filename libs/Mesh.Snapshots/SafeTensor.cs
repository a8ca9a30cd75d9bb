using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Mesh.Snapshots;

/// <summary>Element types of the safetensors format that this reader knows, by their names in the header.</summary>
public enum TensorType
{
    Bool,
    U8,
    I8,
    U16,
    I16,
    F16,
    BF16,
    U32,
    I32,
    F32,
    U64,
    I64,
    F64,
}

/// <summary>One named tensor: row-major, little-endian, no padding. The bytes are not copied: they belong to the file that was read.</summary>
public sealed class SafeTensor
{
    /// <exception cref="SnapshotFormatException">The bytes are not as many as shape and type say.</exception>
    public SafeTensor(string name, TensorType type, IReadOnlyList<long> shape, ReadOnlyMemory<byte> data)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(shape);
        long bytes = SafeTensors.SizeOf(name, type, shape);
        if (bytes != data.Length)
        {
            throw new SnapshotFormatException($"Tensor '{name}' holds {data.Length} bytes; {type}[{string.Join(',', shape)}] takes {bytes}.");
        }

        Name = name;
        Type = type;
        Shape = shape;
        Data = data;
    }

    public string Name { get; }

    public TensorType Type { get; }

    public IReadOnlyList<long> Shape { get; }

    public ReadOnlyMemory<byte> Data { get; }

    /// <summary>The elements as they lie in the file. <typeparamref name="T"/> must be as wide as the tensor's type.</summary>
    public ReadOnlySpan<T> Values<T>() where T : unmanaged
    {
        int width = SafeTensors.WidthOf(Type);
        if (Unsafe.SizeOf<T>() != width) throw new SnapshotFormatException($"Tensor '{Name}' is {Type}, {width} bytes wide; it cannot be read as {typeof(T).Name}.");

        return MemoryMarshal.Cast<byte, T>(Data.Span);
    }

    /// <summary>A tensor over a copy of the values.</summary>
    public static SafeTensor Of<T>(string name, TensorType type, ReadOnlySpan<T> values, params long[] shape) where T : unmanaged =>
        new(name, type, shape, MemoryMarshal.AsBytes(values).ToArray());
}
