using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Mesh.Numerics;

// vpmaddubsw (bytes times signed bytes, pairs to int16), vpmaddwd by ones (pairs to int32), vpaddd: 64 products in three instructions.
// .NET 10 has no class for the processor's 512-bit vpdpbusd, which would be one.
internal readonly struct Avx512Int8Kernel : IInt8Kernel
{
    public static int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals)
    {
        ref byte queryRef = ref Unsafe.As<sbyte, byte>(ref MemoryMarshal.GetReference(query));
        nuint blockBytes = (nuint)query.Length * Int8Rows.BlockRows;
        Vector512<int> above = Vector512.Create(threshold);
        int count = 0;
        if (AllBlocks(admitted))
        {
            Vector512<int> a = Vector512<int>.Zero, b = a, c = a, d = a;
            for (nuint at = 0, step = 0; at < blockBytes; at += 64, step += 4)
            {
                Vector512<sbyte> four = Four(ref queryRef, step);
                a += Products(Vector512.LoadUnsafe(ref group, at), four);
                b += Products(Vector512.LoadUnsafe(ref group, at + blockBytes), four);
                c += Products(Vector512.LoadUnsafe(ref group, at + (2 * blockBytes)), four);
                d += Products(Vector512.LoadUnsafe(ref group, at + (3 * blockBytes)), four);
            }

            ulong hits = (Vector512.GreaterThan(a, above).ExtractMostSignificantBits()
                | (Vector512.GreaterThan(b, above).ExtractMostSignificantBits() << 16)
                | (Vector512.GreaterThan(c, above).ExtractMostSignificantBits() << 32)
                | (Vector512.GreaterThan(d, above).ExtractMostSignificantBits() << 48)) & admitted;
            if (hits == 0) return 0;
            Compress(a, hits, firstOrdinal, ref dots, ref ordinals, ref count);
            Compress(b, hits >> 16, firstOrdinal + 16, ref dots, ref ordinals, ref count);
            Compress(c, hits >> 32, firstOrdinal + 32, ref dots, ref ordinals, ref count);
            Compress(d, hits >> 48, firstOrdinal + 48, ref dots, ref ordinals, ref count);
            return count;
        }

        for (; admitted != 0; admitted >>= 16, firstOrdinal += 16, group = ref Unsafe.Add(ref group, blockBytes))
        {
            if ((ushort)admitted == 0) continue;
            Vector512<int> dot = Block(ref group, ref queryRef, blockBytes);
            ulong hits = Vector512.GreaterThan(dot, above).ExtractMostSignificantBits() & (ushort)admitted;
            if (hits != 0) Compress(dot, hits, firstOrdinal, ref dots, ref ordinals, ref count);
        }

        return count;
    }

    // Two sums, so that one step need not wait for the addition of the one before.
    private static Vector512<int> Block(ref byte block, ref byte query, nuint blockBytes)
    {
        Vector512<int> even = Vector512<int>.Zero, odd = even;
        nuint at = 0, step = 0;
        for (; at + 64 < blockBytes; at += 128, step += 8)
        {
            even += Products(Vector512.LoadUnsafe(ref block, at), Four(ref query, step));
            odd += Products(Vector512.LoadUnsafe(ref block, at + 64), Four(ref query, step + 4));
        }

        if (at < blockBytes) even += Products(Vector512.LoadUnsafe(ref block, at), Four(ref query, step));
        return even + odd;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool AllBlocks(ulong admitted) =>
        (ushort)admitted != 0 && (ushort)(admitted >> 16) != 0 && (ushort)(admitted >> 32) != 0 && admitted >> 48 != 0;

    // Four components of the query, for every row.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<sbyte> Four(ref byte query, nuint step) => Vector512.Create(Unsafe.ReadUnaligned<int>(ref Unsafe.Add(ref query, step))).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Products(Vector512<byte> rows, Vector512<sbyte> query) =>
        Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(rows, query), Vector512<short>.One);

    // Compresses in the register and stores all 16 lanes: vpcompressd to memory is slow on AMD. There is room for 64 rows from where
    // the group began, so for 16 from here.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Compress(Vector512<int> dot, ulong hits, int firstOrdinal, ref int dots, ref int ordinals, ref int count)
    {
        Vector512<int> lanes = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768);
        Vector512<int> mask = Vector512.Equals(Vector512.Create((int)hits) & lanes, lanes);
        Avx512F.Compress(Vector512<int>.Zero, mask, dot).StoreUnsafe(ref dots, (nuint)count);
        Avx512F.Compress(Vector512<int>.Zero, mask, Vector512.Create(firstOrdinal) + Vector512<int>.Indices).StoreUnsafe(ref ordinals, (nuint)count);
        count += System.Numerics.BitOperations.PopCount((uint)hits & 0xFFFF);
    }
}
