using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Mesh.Numerics;

// As the kernel of 512 bits, in two halves of 8 rows. There is no compress; few rows pass a threshold, so they are taken one by one.
internal readonly struct Avx2Int8Kernel : IInt8Kernel
{
    [SkipLocalsInit]
    public static int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals)
    {
        ref byte queryRef = ref Unsafe.As<sbyte, byte>(ref MemoryMarshal.GetReference(query));
        nuint blockBytes = (nuint)query.Length * Int8Rows.BlockRows;
        Vector256<int> above = Vector256.Create(threshold);
        Span<int> block = stackalloc int[Int8Rows.BlockRows];
        int count = 0;
        for (; admitted != 0; admitted >>= 16, firstOrdinal += 16, group = ref Unsafe.Add(ref group, blockBytes))
        {
            if ((ushort)admitted == 0) continue;
            Vector256<int> low = Vector256<int>.Zero, high = low;
            for (nuint at = 0, step = 0; at < blockBytes; at += 64, step += 4)
            {
                Vector256<sbyte> four = Vector256.Create(Unsafe.ReadUnaligned<int>(ref Unsafe.Add(ref queryRef, step))).AsSByte();
                low += Products(Vector256.LoadUnsafe(ref group, at), four);
                high += Products(Vector256.LoadUnsafe(ref group, at + 32), four);
            }

            uint hits = (Vector256.GreaterThan(low, above).ExtractMostSignificantBits()
                | (Vector256.GreaterThan(high, above).ExtractMostSignificantBits() << 8)) & (ushort)admitted;
            if (hits == 0) continue;
            low.CopyTo(block);
            high.CopyTo(block[8..]);
            for (; hits != 0; hits &= hits - 1)
            {
                int row = BitOperations.TrailingZeroCount(hits);
                Unsafe.Add(ref dots, count) = block[row];
                Unsafe.Add(ref ordinals, count++) = firstOrdinal + row;
            }
        }

        return count;
    }

    // Queries take turns: the group stays in the first-level cache.
    public static void AppendShared(ref byte group, ReadOnlySpan<ScanHits> hits, ReadOnlySpan<ulong> admitted, int firstOrdinal)
    {
        for (int q = 0; q < hits.Length; q++) hits[q].Append<Avx2Int8Kernel>(ref group, admitted[q], firstOrdinal);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Products(Vector256<byte> rows, Vector256<sbyte> query) =>
        Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(rows, query), Vector256<short>.One);
}
