using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Mesh.Numerics;

/// <summary>
/// Zeroed memory that begins at a multiple of 64 bytes and never moves: a 64-byte load from it touches one cache line, and
/// addresses into it hold as long as the buffer is reachable. The garbage collector frees it, so no reader can outlive it.
/// </summary>
public sealed class AlignedBuffer<T>
    where T : unmanaged
{
    /// <summary>Bytes of a cache line, and of an AVX-512 register.</summary>
    public const int Alignment = 64;

    private readonly byte[] _memory;
    private readonly int _offset;

    /// <param name="length">Elements; their bytes and 64 more must fit an array, which holds about 2^31 bytes.</param>
    public AlignedBuffer(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        _memory = GC.AllocateArray<byte>(checked((length * Unsafe.SizeOf<T>()) + Alignment), pinned: true);
        _offset = (int)(-Marshal.UnsafeAddrOfPinnedArrayElement(_memory, 0) & (Alignment - 1));
    }

    /// <summary>Elements.</summary>
    public int Length { get; }

    /// <summary>Address of element 0. Keep the buffer reachable while the address is used.</summary>
    public nint Address => Marshal.UnsafeAddrOfPinnedArrayElement(_memory, _offset);

    /// <summary>All elements.</summary>
    public Span<T> Span => MemoryMarshal.Cast<byte, T>(_memory.AsSpan(_offset, Length * Unsafe.SizeOf<T>()));
}
