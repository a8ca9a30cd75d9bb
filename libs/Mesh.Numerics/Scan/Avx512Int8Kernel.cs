using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Mesh.Numerics;

// vpmaddubsw (bytes times signed bytes, pairs to int16), vpmaddwd by ones (pairs to int32), vpaddd: 64 products in three instructions.
//
// The ladder, in GB/s of rows of 64 bytes; best of many interleaved runs, one thread of a busy two-core Zen 5 machine:
//                                                            1 MB, in the cache    64 MB
//   plain read                                                        150            38
//   scalar reference                                                  0.8
//   AVX2                                                               96
//   four blocks side by side, a sum each                              132            25
//   one block after the other, four sums                              121            38    1.5 x: addresses only ascend
//   the same with prefetches 4 to 16 KB ahead                         115         36-37    no gain, left out
//   vpdpbusd of 256 bits (AvxVnni; 512 bits are not in .NET 10)       121            34    against 35 in its own run: left out
// Four queries, bytes times four, all in one interleaved run at 64 MB:
//   in turns over 64 rows                                                           103
//   in turns, prefetch 8 KB ahead                                                   128
//   one load for four                                                               119    sums in a method of their own, or the compiler spills them (91)
//   one load for four, prefetch 8 KB ahead                                          136    and 1.5 x what turns reach in the cache
internal readonly struct Avx512Int8Kernel : IInt8Kernel
{
    // With four queries the work on a line takes longer than the processor looks ahead.
    private const int SharedAheadBytes = 8_192;

    public static int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals)
    {
        ref byte queryRef = ref Unsafe.As<sbyte, byte>(ref MemoryMarshal.GetReference(query));
        nuint blockBytes = (nuint)query.Length * Int8Rows.BlockRows;
        Vector512<int> above = Vector512.Create(threshold);
        int count = 0;
        for (; admitted != 0; admitted >>= 16, firstOrdinal += 16, group = ref Unsafe.Add(ref group, blockBytes))
        {
            if ((ushort)admitted == 0) continue;
            Vector512<int> dot = Block(ref group, ref queryRef, blockBytes);
            ulong hits = Vector512.GreaterThan(dot, above).ExtractMostSignificantBits() & (ushort)admitted;
            if (hits != 0) Compress(dot, hits, firstOrdinal, ref dots, ref ordinals, ref count);
        }

        return count;
    }

    // Each block is loaded once for four queries; where there are fewer, the first takes the empty places, and its dots there are not looked at.
    [SkipLocalsInit]
    public static void AppendShared(ref byte group, ReadOnlySpan<ScanHits> hits, ReadOnlySpan<ulong> admitted, int firstOrdinal)
    {
        nuint blockBytes = (nuint)hits[0].Query.Values.Length * Int8Rows.BlockRows;
        ref byte a = ref First(hits[0]), b = ref First(hits[1]), c = ref First(hits[hits.Length > 2 ? 2 : 0]), d = ref First(hits[hits.Length > 3 ? 3 : 0]);
        Span<int> dots = stackalloc int[Int8Scan.QueriesMax * Int8Rows.BlockRows];
        for (int row = 0; row < Int8Rows.GroupRows; row += Int8Rows.BlockRows, group = ref Unsafe.Add(ref group, blockBytes))
        {
            ulong any = 0;
            foreach (ulong word in admitted) any |= word >> row;
            if ((ushort)any == 0) continue;

            Block(ref group, ref a, ref b, ref c, ref d, blockBytes, ref MemoryMarshal.GetReference(dots));
            for (int q = 0; q < hits.Length; q++)
            {
                Vector512<int> dot = Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(dots), (nuint)(q * Int8Rows.BlockRows));
                ulong passed = Vector512.GreaterThan(dot, Vector512.Create(hits[q].Threshold)).ExtractMostSignificantBits() & (ushort)(admitted[q] >> row);
                if (passed == 0) continue;
                int count = 0;
                Compress(dot, passed, firstOrdinal + row, ref hits[q].NextDot, ref hits[q].NextOrdinal, ref count);
                hits[q].Count += count;
            }
        }
    }

    // Apart from what is done with the sums: beside calls, the compiler stores them at every step.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Block(ref byte block, ref byte a, ref byte b, ref byte c, ref byte d, nuint blockBytes, ref int dots)
    {
        Vector512<int> sumA = Vector512<int>.Zero, sumB = sumA, sumC = sumA, sumD = sumA;
        for (nuint at = 0, step = 0; at < blockBytes; at += 64, step += 4)
        {
            Vector512<byte> rows = Vector512.LoadUnsafe(ref block, at);
            Prefetch(ref block, at + SharedAheadBytes);
            sumA += Products(rows, Four(ref a, step));
            sumB += Products(rows, Four(ref b, step));
            sumC += Products(rows, Four(ref c, step));
            sumD += Products(rows, Four(ref d, step));
        }

        sumA.StoreUnsafe(ref dots);
        sumB.StoreUnsafe(ref dots, 16);
        sumC.StoreUnsafe(ref dots, 32);
        sumD.StoreUnsafe(ref dots, 48);
    }

    // Blocks lie one after the other, and so are read: the processor's prefetcher then reaches the rate of a plain read.
    private static Vector512<int> Block(ref byte block, ref byte query, nuint blockBytes)
    {
        Vector512<int> a = Vector512<int>.Zero, b = a, c = a, d = a;
        nuint at = 0, step = 0;
        for (; at + 192 < blockBytes; at += 256, step += 16)
        {
            a += Products(Vector512.LoadUnsafe(ref block, at), Four(ref query, step));
            b += Products(Vector512.LoadUnsafe(ref block, at + 64), Four(ref query, step + 4));
            c += Products(Vector512.LoadUnsafe(ref block, at + 128), Four(ref query, step + 8));
            d += Products(Vector512.LoadUnsafe(ref block, at + 192), Four(ref query, step + 12));
        }

        for (; at < blockBytes; at += 64, step += 4) a += Products(Vector512.LoadUnsafe(ref block, at), Four(ref query, step));
        return a + b + (c + d);
    }

    private static ref byte First(ScanHits hits) => ref Unsafe.As<sbyte, byte>(ref MemoryMarshal.GetReference(hits.Query.Values));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Prefetch(ref byte block, nuint at)
    {
        // SAFETY: a prefetch does not fault at any address, and the address need not hold.
        Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref block, at)));
    }

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
