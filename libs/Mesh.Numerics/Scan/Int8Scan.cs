using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Mesh.Numerics;

/// <summary>
/// Scans a run of rows of <see cref="Int8Rows"/>: dot[row] = sum of byte[row][d] * query[d] in int32, exact; what a filter admits
/// and is above the query's threshold is appended to its hits. The dots of one block never leave the registers unless they pass.
/// </summary>
public static class Int8Scan
{
    /// <summary>Most queries of one scan.</summary>
    public const int QueriesMax = 4;

    // How far ahead blocks of a sparse filter are fetched. Measured on 1M rows of 128 bytes: 1.2 times as fast where 1 % of rows are
    // admitted at random and 1.4 times at 5 %; rows of 64 bytes: 0.84 and 1.2 times. 2 to 16 groups are alike within the noise.
    private const int GroupsAhead = 4;

    /// <summary>
    /// Scans for one to four queries, and stops before a group of 64 rows that may not fit one of their buffers:
    /// <code>
    /// for (int group = 0; (group = Int8Scan.Run(blocks, admitted, 0, hits, group)) &lt; groups;)
    ///     foreach (ScanHits full in hits) if (full.IsFull) full.KeepBest(k);
    /// </code>
    /// A block of 16 rows is read once for all queries, and not at all where it has no row to admit.
    /// </summary>
    /// <param name="blocks">Whole groups of 64 rows. A length that is a multiple of 64 bytes at an address that is one is fastest.</param>
    /// <param name="admitted">
    /// Bit r of word g admits row 64 g + r. Empty: all rows, written or not. One word per group: for all queries. One word per group
    /// and query: first all words of the first query, then of the next.
    /// </param>
    /// <param name="firstOrdinal">Ordinal of row 0; row r is appended as firstOrdinal + r.</param>
    /// <param name="hits">Queries of equal dimensions with their buffers.</param>
    /// <param name="fromGroup">Where an earlier call stopped.</param>
    /// <returns>The group to go on with; the number of groups once all is scanned.</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public static int Run(
        ReadOnlySpan<byte> blocks, ReadOnlySpan<ulong> admitted, int firstOrdinal, ReadOnlySpan<ScanHits> hits, int fromGroup = 0, SimdLevel level = SimdLevel.Best)
    {
        int groups = Check(blocks, admitted, firstOrdinal, hits, fromGroup);
        return level.Resolve() switch
        {
            SimdLevel.Avx512 => Scan<Avx512Int8Kernel>(blocks, admitted, firstOrdinal, hits, fromGroup, groups),
            SimdLevel.Avx2 => Scan<Avx2Int8Kernel>(blocks, admitted, firstOrdinal, hits, fromGroup, groups),
            _ => Scan<ScalarInt8Kernel>(blocks, admitted, firstOrdinal, hits, fromGroup, groups),
        };
    }

    private static int Check(ReadOnlySpan<byte> blocks, ReadOnlySpan<ulong> admitted, int firstOrdinal, ReadOnlySpan<ScanHits> hits, int fromGroup)
    {
        if (hits.Length is < 1 or > QueriesMax) throw new ArgumentException($"A scan takes 1..{QueriesMax} queries, not {hits.Length}.", nameof(hits));
        int dimensions = hits[0].Query.Dimensions;
        foreach (ScanHits one in hits)
        {
            if (one.Query.Dimensions != dimensions) throw new ArgumentException($"Queries have {dimensions} and {one.Query.Dimensions} dimensions.", nameof(hits));
        }

        (int groups, int rest) = Math.DivRem(blocks.Length, Int8Rows.GroupBytes(dimensions));
        if (rest != 0) throw new ArgumentException($"{blocks.Length} bytes are not whole groups of {Int8Rows.GroupBytes(dimensions)}.", nameof(blocks));
        if (admitted.Length != 0 && admitted.Length != groups && admitted.Length != groups * hits.Length)
        {
            throw new ArgumentException($"{admitted.Length} words for {groups} groups and {hits.Length} queries.", nameof(admitted));
        }

        ArgumentOutOfRangeException.ThrowIfNegative(firstOrdinal);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstOrdinal, int.MaxValue - (groups * Int8Rows.GroupRows));
        ArgumentOutOfRangeException.ThrowIfNegative(fromGroup);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fromGroup, groups);
        return groups;
    }

    private static int Scan<TKernel>(
        ReadOnlySpan<byte> blocks, ReadOnlySpan<ulong> admitted, int firstOrdinal, ReadOnlySpan<ScanHits> hits, int fromGroup, int groups)
        where TKernel : IInt8Kernel
    {
        int groupBytes = Int8Rows.GroupBytes(hits[0].Query.Dimensions);
        int perQuery = admitted.Length > groups ? groups : 0;
        Span<ulong> words = stackalloc ulong[hits.Length];
        for (int g = fromGroup; g < groups; g++)
        {
            foreach (ScanHits one in hits)
            {
                if (one.IsFull) return g;
            }

            ulong any = 0, ahead = 0;
            for (int q = 0; q < words.Length; q++)
            {
                any |= words[q] = admitted.IsEmpty ? ulong.MaxValue : admitted[(q * perQuery) + g];
                if (!admitted.IsEmpty && g + GroupsAhead < groups) ahead |= admitted[(q * perQuery) + g + GroupsAhead];
            }

            ref byte group = ref Unsafe.Add(ref MemoryMarshal.GetReference(blocks), (nint)g * groupBytes);
            if (ahead != 0 && !AllBlocks(ahead)) Prefetch(ref Unsafe.Add(ref group, GroupsAhead * groupBytes), groupBytes / 4, ahead);
            if (any == 0) continue;

            // SAFETY: the group lies in blocks, and the buffers have room for its 64 rows.
            if (hits.Length == 1) hits[0].Append<TKernel>(ref group, any, firstOrdinal + (g * Int8Rows.GroupRows));
            else TKernel.AppendShared(ref group, hits, words, firstOrdinal + (g * Int8Rows.GroupRows));
        }

        return groups;
    }

    // The processor foresees a scan of all blocks, not one that leaves some out.
    private static void Prefetch(ref byte group, int blockBytes, ulong admitted)
    {
        if (!Sse.IsSupported) return;
        for (; admitted != 0; admitted >>= 16, group = ref Unsafe.Add(ref group, blockBytes))
        {
            if ((ushort)admitted == 0) continue;
            for (int at = 0; at < blockBytes; at += 64)
            {
                // SAFETY: a prefetch does not fault at any address, and the address need not hold.
                unsafe { Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref group, at))); }
            }
        }
    }

    private static bool AllBlocks(ulong admitted) =>
        (ushort)admitted != 0 && (ushort)(admitted >> 16) != 0 && (ushort)(admitted >> 32) != 0 && admitted >> 48 != 0;
}

/// <summary>One group of 64 rows; a type for each set of instructions.</summary>
internal interface IInt8Kernel
{
    /// <summary>Appends the admitted rows of a group whose dots are above the threshold, in order of rows.</summary>
    /// <param name="group">64 rows: 4 blocks of 16 * query.Length bytes.</param>
    /// <param name="query">Padded to a multiple of 4.</param>
    /// <param name="dots">Room for 64, of which any may be overwritten.</param>
    /// <param name="ordinals">As <paramref name="dots"/>.</param>
    /// <returns>How many were appended.</returns>
    static abstract int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals);

    /// <summary>The same for two to four queries, which read the group together.</summary>
    /// <param name="admitted">A word per query.</param>
    static abstract void AppendShared(ref byte group, ReadOnlySpan<ScanHits> hits, ReadOnlySpan<ulong> admitted, int firstOrdinal);
}

// Reference. The other kernels must agree with it exactly.
internal readonly struct ScalarInt8Kernel : IInt8Kernel
{
    public static int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.CreateReadOnlySpan(ref group, Int8Rows.GroupRows * query.Length);
        int count = 0;
        for (int row = 0; row < Int8Rows.GroupRows; row++)
        {
            if ((admitted >> row & 1) == 0) continue;
            int dot = 0;
            for (int d = 0; d < query.Length; d++) dot += Int8Rows.At(bytes, query.Length, row, d) * query[d];
            if (dot <= threshold) continue;
            Unsafe.Add(ref dots, count) = dot;
            Unsafe.Add(ref ordinals, count++) = firstOrdinal + row;
        }

        return count;
    }

    public static void AppendShared(ref byte group, ReadOnlySpan<ScanHits> hits, ReadOnlySpan<ulong> admitted, int firstOrdinal)
    {
        for (int q = 0; q < hits.Length; q++) hits[q].Append<ScalarInt8Kernel>(ref group, admitted[q], firstOrdinal);
    }
}
