using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Mesh.Numerics;

/// <summary>
/// Scans a run of rows of <see cref="Int8Rows"/>: dot[row] = sum of byte[row][d] * query[d] in int32, exact; what a filter admits
/// and is above the query's threshold is appended to its hits. The dots of one block never leave the registers unless they pass.
/// </summary>
public static class Int8Scan
{
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
        if (hits.Length is < 1 or > 4) throw new ArgumentException($"A scan takes 1..4 queries, not {hits.Length}.", nameof(hits));
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

    // Queries take turns at one group: its 4 to 8 KB stay in the first-level cache, so memory is read once for all.
    private static int Scan<TKernel>(
        ReadOnlySpan<byte> blocks, ReadOnlySpan<ulong> admitted, int firstOrdinal, ReadOnlySpan<ScanHits> hits, int fromGroup, int groups)
        where TKernel : IInt8Kernel
    {
        int groupBytes = Int8Rows.GroupBytes(hits[0].Query.Dimensions);
        int perQuery = admitted.Length > groups ? groups : 0;
        for (int g = fromGroup; g < groups; g++)
        {
            foreach (ScanHits one in hits)
            {
                if (one.IsFull) return g;
            }

            ref byte group = ref Unsafe.Add(ref MemoryMarshal.GetReference(blocks), (nint)g * groupBytes);
            for (int q = 0; q < hits.Length; q++)
            {
                ulong word = admitted.IsEmpty ? ulong.MaxValue : admitted[(q * perQuery) + g];
                if (word == 0) continue;
                ScanHits one = hits[q];
                // SAFETY: the group lies in blocks, and the buffers have room for its 64 rows.
                one.Count += TKernel.Append(
                    ref group, one.Query.Values, word, one.Threshold, firstOrdinal + (g * Int8Rows.GroupRows),
                    ref Unsafe.Add(ref MemoryMarshal.GetReference(one.AllDots), one.Count), ref Unsafe.Add(ref MemoryMarshal.GetReference(one.AllOrdinals), one.Count));
            }
        }

        return groups;
    }
}

/// <summary>One group of 64 rows for one query; a method for each set of instructions.</summary>
internal interface IInt8Kernel
{
    /// <summary>Appends the admitted rows of a group whose dots are above the threshold, in order of rows.</summary>
    /// <param name="group">64 rows: 4 blocks of 16 * query.Length bytes.</param>
    /// <param name="query">Padded to a multiple of 4.</param>
    /// <param name="dots">Room for 64, of which any may be overwritten.</param>
    /// <param name="ordinals">As <paramref name="dots"/>.</param>
    /// <returns>How many were appended.</returns>
    static abstract int Append(ref byte group, ReadOnlySpan<sbyte> query, ulong admitted, int threshold, int firstOrdinal, ref int dots, ref int ordinals);
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
}
