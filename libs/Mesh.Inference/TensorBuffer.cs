using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Mesh.Inference;

/// <summary>Element types that cross into graphs.</summary>
public enum TensorElement
{
    Float,
    Int64,
}

/// <summary>
/// A dense row-major tensor in pinned memory, aligned to 64 bytes, that graphs read and write in place: nothing is copied on the
/// CPU. The memory belongs to the garbage collector, so a buffer that a cache drops while a run reads it stays valid. One
/// thread writes at a time; many may read.
/// </summary>
public sealed class TensorBuffer
{
    private const int Alignment = 64;
    private readonly TensorElement _element;
    private byte[] _memory = [];
    private int _offset;
    private int _capacity;
    private long[] _shape = [];

    /// <summary>A tensor of zeros.</summary>
    public TensorBuffer(TensorElement element, params ReadOnlySpan<long> shape)
    {
        _element = element;
        Reshape(shape);
    }

    public TensorElement Element => _element;

    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>Number of elements.</summary>
    public int Length { get; private set; }

    /// <summary>Bytes of the elements, without spare room.</summary>
    public int Bytes => Length * Width;

    public Span<float> Floats => Elements<float>(TensorElement.Float);

    public Span<long> Longs => Elements<long>(TensorElement.Int64);

    internal Span<byte> AllBytes => _memory.AsSpan(_offset, Bytes);

    internal int Width => _element == TensorElement.Float ? sizeof(float) : sizeof(long);

    /// <summary>Another shape over the same memory; larger memory of zeros where it does not fit. Elements of a kept memory stay as they lie.</summary>
    public void Reshape(params ReadOnlySpan<long> shape)
    {
        long length = 1;
        foreach (long dimension in shape)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 1, nameof(shape));
            length = checked(length * dimension);
        }

        long bytes = checked(length * Width);
        if (bytes > Array.MaxLength - Alignment) throw new ArgumentOutOfRangeException(nameof(shape), bytes, $"A tensor takes at most {Array.MaxLength - Alignment} bytes.");
        if (bytes > _capacity) Allocate((int)bytes);
        if (!_shape.AsSpan().SequenceEqual(shape)) _shape = shape.ToArray();
        Length = (int)length;
    }

    /// <summary>Elements of the rows [first, first + count) along the first dimension.</summary>
    public Span<byte> Rows(int first, int count)
    {
        int rowBytes = Bytes / (int)_shape[0];
        return AllBytes.Slice(first * rowBytes, count * rowBytes);
    }

    /// <summary>A view for the runtime. The caller keeps this buffer reachable, and as it is, until the view is disposed of.</summary>
    internal OrtValue ToOrtValue() => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance, _element == TensorElement.Float ? TensorElementType.Float : TensorElementType.Int64, _shape, Address, Bytes);

    internal nint Address => Marshal.UnsafeAddrOfPinnedArrayElement(_memory, _offset);

    private void Allocate(int bytes)
    {
        _memory = GC.AllocateArray<byte>(bytes + Alignment - 1, pinned: true);
        _offset = (int)(-(long)Marshal.UnsafeAddrOfPinnedArrayElement(_memory, 0) & (Alignment - 1));
        _capacity = bytes;
    }

    private Span<T> Elements<T>(TensorElement element) where T : unmanaged
    {
        if (element != _element) throw new InvalidOperationException($"The tensor holds {_element}, not {element}.");
        return MemoryMarshal.Cast<byte, T>(AllBytes);
    }
}
