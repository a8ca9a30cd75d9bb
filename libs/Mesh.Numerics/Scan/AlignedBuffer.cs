using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

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
        Address = Marshal.UnsafeAddrOfPinnedArrayElement(_memory, _offset);
    }

    /// <summary>Elements.</summary>
    public int Length { get; }

    /// <summary>Address of element 0. Keep the buffer reachable while the address is used.</summary>
    public nint Address { get; }

    /// <summary>Begins to fetch elements into the cache. Harmless whatever the range.</summary>
    public unsafe void Prefetch(int from, int length)
    {
        if (!Sse.IsSupported) return;

        // SAFETY: a prefetch does not fault at any address, and the address need not hold.
        byte* at = (byte*)Address + ((nint)from * Unsafe.SizeOf<T>());
        byte* end = at + ((nint)length * Unsafe.SizeOf<T>());
        for (; at < end; at += Alignment) Sse.Prefetch0(at);
    }

    /// <summary>All elements.</summary>
    public Span<T> Span => MemoryMarshal.Cast<byte, T>(_memory.AsSpan(_offset, Length * Unsafe.SizeOf<T>()));
}
