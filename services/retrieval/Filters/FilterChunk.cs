using Mesh.Numerics;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// Filter rows of many segments, side by side: one value's bits of all of them lie in one piece. A search reads few of a thousand rows, so what it
/// reads then lies in few pages, and a search of all segments reads each row from end to end. One writer, readers without locks.
/// </summary>
internal sealed class FilterChunk
{
    /// <summary>Slots of a chunk at most.</summary>
    public const int SlotsMax = 65_536;

    // A line between rows: at a distance of a power of two all rows of a segment would lie in one set of the first cache.
    private const int PadWords = AlignedBuffer<ulong>.Alignment / sizeof(ulong);

    private readonly int _words;
    private volatile AlignedBuffer<ulong> _exact; // replaced whole by the writer when rows are added
    private readonly int[] _versions;             // by ordinal of a segment: side by side, so that all are compared at once
    private int _taken;                           // writer only
    private int _segments;

    /// <param name="number">Chunks before this one.</param>
    /// <param name="firstWord">Words of the chunks before.</param>
    public FilterChunk(int number, int firstWord, int slots, int bloomBits, int exactRows)
    {
        (Number, FirstWord) = (number, firstWord);
        _words = slots / 64;
        _versions = new int[_words];
        Stride = _words + PadWords;
        Bloom = new AlignedBuffer<ulong>(bloomBits * Stride);
        _exact = new AlignedBuffer<ulong>(exactRows * Stride);
    }

    /// <summary>Chunks before this one.</summary>
    public int Number { get; }

    /// <summary>Words of a row of all chunks before this one.</summary>
    public int FirstWord { get; }

    /// <summary>Words of a row.</summary>
    public int Words => _words;

    /// <summary>Writer only. Slots from 0 on that segments have taken.</summary>
    public int Taken => 64 * _taken;

    /// <summary>Segments that were taken.</summary>
    public int Segments => Volatile.Read(ref _segments);

    /// <summary>Of segments by ordinal; see <see cref="FilterBits"/>.</summary>
    public Span<int> Versions => _versions;

    /// <summary>Words from a row to the next.</summary>
    public int Stride { get; }

    /// <summary>[Bloom bits, <see cref="Stride"/>]</summary>
    public AlignedBuffer<ulong> Bloom { get; }

    /// <summary>[exact rows, <see cref="Stride"/>]: another one after <see cref="GrowExact"/>, so read it once.</summary>
    public AlignedBuffer<ulong> Exact => _exact;

    public long Bytes => 8L * (Bloom.Length + _exact.Length) + (4L * _versions.Length) + 500;

    /// <summary>Writer only. The bits of a new segment; null where there is not so much room.</summary>
    /// <param name="slots">A multiple of 64.</param>
    public FilterBits? TryTake(int slots)
    {
        if (_taken + (slots / 64) > _words) return null;
        var bits = new FilterBits(this, _segments, _taken, slots / 64);
        _taken += slots / 64;
        Volatile.Write(ref _segments, _segments + 1);
        return bits;
    }

    /// <summary>Writer only. Room for more exact rows; those there are stay where they are.</summary>
    public void GrowExact(int rows)
    {
        var grown = new AlignedBuffer<ulong>(rows * Stride);
        _exact.Span.CopyTo(grown.Span);
        _exact = grown;
    }
}
