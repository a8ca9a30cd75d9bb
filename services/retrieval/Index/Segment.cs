using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Up to 1,024 rows of one cluster side by side: vectors to score with, the same as bytes to scan, filter rows, and which Row and slot
/// a place holds. Places are taken in order and never given to another row; all but they lie in chunks with those of other segments.
/// </summary>
internal sealed class Segment
{
    public const int RowsMax = 1 << PlaceBits;
    public const int PlaceBits = 10;

    private const int RowsMin = 64;

    private readonly VectorChunk _vectors;
    private readonly int _first; // slot of the chunk
    private readonly Place[] _places;

    /// <summary>A segment for as many rows as its bits have slots, in chunks of filter rows and vectors with the same slots.</summary>
    public Segment(Cluster cluster, FilterBits filter, VectorChunk vectors)
    {
        Cluster = cluster;
        Filter = filter;
        Capacity = 64 * filter.Words;
        _vectors = vectors;
        _first = 64 * filter.First;
        _places = new Place[Capacity];
    }

    /// <summary>The one whose rows these are: who takes a row out asks its segment, whatever the row's codes are by then.</summary>
    public Cluster Cluster { get; }

    public int Capacity { get; }

    public FilterBits Filter { get; }

    /// <summary>Vectors as <see cref="Int8Rows"/>; empty while every search is exact.</summary>
    public ReadOnlySpan<byte> Blocks => _vectors.Blocks is { } blocks ? blocks.Span.Slice(FirstByte, GroupBytes * Filter.Words) : [];

    public long Bytes => 24L * Capacity + 200;

    private int GroupBytes => Int8Rows.GroupBytes(_vectors.Dimensions);

    private int FirstByte => Filter.First * GroupBytes;

    /// <summary>Begins to fetch the bytes of the rows: a line of each page, as finding the page takes longest. On 1,000,000 x 64, 64 clusters: 8 to 10 % less
    /// time for the whole search; whole pages or four lines a page: no better.</summary>
    public void PrefetchBlocks()
    {
        if (_vectors.Blocks is not { } blocks) return;
        for (int at = 0; at < GroupBytes * Filter.Words; at += Environment.SystemPageSize) blocks.Prefetch(FirstByte + at, 1);
    }

    /// <summary>Room for so many rows, in whole words of filter rows.</summary>
    public static int RoomFor(int rows) => Math.Clamp((rows + RowsMin - 1) / RowsMin * RowsMin, RowsMin, RowsMax);

    public ReadOnlySpan<float> Vector(int place) => _vectors.Vectors.Span.Slice((_first + place) * _vectors.Dimensions, _vectors.Dimensions);

    /// <summary>Where the segment lies.</summary>
    public SegmentSpan Span => new(
        Filter.Chunk.Number, Filter.Chunk.FirstWord + Filter.First, Filter.Words, _vectors.Vectors.Address + ((nint)_first * _vectors.Dimensions * sizeof(float)));

    /// <summary>What a place holds; its parts lie in one cache line or two.</summary>
    public ref readonly Place this[int place] => ref _places[place];

    /// <summary>Writer only. Tells that a row has left, before its new slot is published.</summary>
    public void Leave(int place, int successor) => _places[place].Leave(successor);

    /// <summary>Writer only. Fills a place that no reader knows; it is found once its live bit is set.</summary>
    public void Put(int place, Row row, int slot, uint hash, ReadOnlySpan<float> vector, float scale)
    {
        vector.CopyTo(_vectors.Vectors.Span[((_first + place) * _vectors.Dimensions)..]);
        if (_vectors.Blocks is { } blocks) Int8Rows.Write(vector, scale, blocks.Span, _first + place);
        _places[place] = new Place(row, slot, hash);
    }
}

/// <summary>One row's place in a segment: written before its live bit is set, and then only <see cref="Leave"/> changes it.</summary>
internal struct Place(Row row, int slot, uint hash)
{
    private int _successor; // slot that the row has left this place for; 0 is nobody's

    public readonly Row Row => row;

    public readonly int Slot => slot;

    /// <summary>Of the item's id.</summary>
    public readonly uint Hash => hash;

    /// <summary>
    /// Whether a search that began when so many slots were published takes the row from here: it had come, and had not left for a slot
    /// that the search knows. Of all slots that a row ever had, this is one.
    /// </summary>
    public readonly bool IsHere(int slots)
    {
        int successor = Volatile.Read(in _successor);
        return slot < slots && (successor == 0 || successor >= slots);
    }

    public void Leave(int successor) => Volatile.Write(ref _successor, successor);
}
