namespace Mesh.Retrieval.Filters;

/// <summary>
/// What a plan admitted of a chunk's segments when each was last asked. A segment's mask holds as long as its version does. Any thread reads and
/// keeps, without waiting:
/// <list type="number">
/// <item>A reader takes the version before the mask. Where a newer mask comes meanwhile, the reader holds words of both under the older version:
/// a row that both admit is in them, and whoever returns a row under a version that has passed asks the row's state.</item>
/// <item>Masks are put down by one thread at a time, and only while their version is the segment's: never an older one over a newer.</item>
/// </list>
/// </summary>
internal sealed class KeptMask
{
    private readonly ulong[] _mask; // a word for each 64 slots of the chunk
    private readonly int[] _admitted;
    private readonly int[] _versions;
    private readonly Lock _keeping = new();

    public KeptMask(FilterChunk chunk)
    {
        _mask = new ulong[chunk.Words];
        (_admitted, _versions) = (new int[chunk.Segments], new int[chunk.Segments]);
        Array.Fill(_versions, BitPlan.NoVersion);
    }

    /// <summary>Segments from 0 on that there is room for; the chunk may have more by now.</summary>
    public int Segments => _versions.Length;

    public long Bytes => (8L * _mask.Length) + (8L * _versions.Length) + 150;

    /// <summary>The mask of a segment, if it holds.</summary>
    public bool TryRead(FilterBits bits, Span<ulong> mask, out int admitted, out int version)
    {
        version = Volatile.Read(ref _versions[bits.Ordinal]);
        admitted = _admitted[bits.Ordinal];
        if (version == BitPlan.NoVersion || !bits.EndRead(version)) return false;

        _mask.AsSpan(bits.First, mask.Length).CopyTo(mask);
        return true;
    }

    /// <summary>Masks of many segments, whether they hold or not.</summary>
    /// <param name="first">The first segment's bits.</param>
    /// <param name="mask">Words from the first segment's to the last's.</param>
    /// <param name="admitted">[segments]</param>
    /// <param name="versions">[segments], of the masks; <see cref="BitPlan.NoVersion"/> where there was none.</param>
    public void Read(FilterBits first, Span<ulong> mask, Span<int> admitted, Span<int> versions)
    {
        _versions.AsSpan(first.Ordinal, versions.Length).CopyTo(versions);
        Volatile.ReadBarrier();
        _admitted.AsSpan(first.Ordinal, admitted.Length).CopyTo(admitted);
        _mask.AsSpan(first.First, mask.Length).CopyTo(mask);
    }

    /// <summary>Keeps a segment's mask, unless another thread is at it, or the segment has changed.</summary>
    public void Keep(FilterBits bits, ReadOnlySpan<ulong> mask, int admitted, int version)
    {
        if (version == BitPlan.NoVersion || !_keeping.TryEnter()) return;
        try
        {
            int at = bits.Ordinal;
            if (_versions[at] == version || !bits.EndRead(version)) return;

            Volatile.Write(ref _versions[at], BitPlan.NoVersion);
            Volatile.WriteBarrier();
            mask.CopyTo(_mask.AsSpan(bits.First));
            _admitted[at] = admitted;
            Volatile.Write(ref _versions[at], version);
        }
        finally
        {
            _keeping.Exit();
        }
    }
}
