using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Up to 1,024 rows of one cluster side by side: vectors to score with, the same as bytes to scan, filter rows, and which Row and slot
/// a place holds. Places are taken in order and never given to another row; filter rows lie in a <see cref="FilterChunk"/>.
/// </summary>
internal sealed class Segment
{
    public const int RowsMax = 1 << PlaceBits;
    public const int PlaceBits = 10;

    private const int RowsMin = 64;

    private readonly int _dimensions;
    private readonly AlignedBuffer<float> _vectors;
    private readonly Place[] _places;
    private volatile AlignedBuffer<byte>? _blocks; // made once the index outgrows exact search, which tells the scale

    /// <summary>A segment for as many rows as its bits have slots.</summary>
    /// <param name="scale">Of the bytes; 0 where there are none yet.</param>
    public Segment(FilterBits filter, int dimensions, float scale)
    {
        Filter = filter;
        Capacity = 64 * filter.Words;
        _dimensions = dimensions;
        _vectors = new AlignedBuffer<float>(Capacity * dimensions);
        _places = new Place[Capacity];
        if (scale > 0) Quantize(scale);
    }

    public int Capacity { get; }

    public FilterBits Filter { get; }

    /// <summary>Vectors as <see cref="Int8Rows"/>; empty while every search is exact.</summary>
    public ReadOnlySpan<byte> Blocks => _blocks is { } blocks ? blocks.Span : [];

    /// <summary>Begins to fetch the bytes of the rows: a line of each page, as finding the page takes longest. On 1,000,000 x 64, 64 clusters: 8 to 10 % less
    /// time for the whole search; whole pages or four lines a page: no better.</summary>
    public void PrefetchBlocks()
    {
        if (_blocks is not { } blocks) return;
        for (int at = 0; at < blocks.Length; at += Environment.SystemPageSize) blocks.Prefetch(at, 1);
    }

    public long Bytes => 4L * _vectors.Length + 24L * Capacity + (_blocks?.Length ?? 0) + 500;

    /// <summary>Room for so many rows, in whole words of filter rows.</summary>
    public static int RoomFor(int rows) => Math.Clamp((rows + RowsMin - 1) / RowsMin * RowsMin, RowsMin, RowsMax);

    public ReadOnlySpan<float> Vector(int place) => _vectors.Span.Slice(place * _dimensions, _dimensions);

    /// <summary>Address of a place's vector, which holds as long as the segment is reachable.</summary>
    public nint VectorAddress(int place) => _vectors.Address + ((nint)place * _dimensions * sizeof(float));

    /// <summary>What a place holds; its parts lie in one cache line or two.</summary>
    public ref readonly Place this[int place] => ref _places[place];

    /// <summary>Writer only. Tells that a row has left, before its new slot is published.</summary>
    public void Leave(int place, int successor) => _places[place].Leave(successor);

    /// <summary>Writer only. Fills a place that no reader knows; it is found once its live bit is set.</summary>
    public void Put(int place, Row row, int slot, uint hash, ReadOnlySpan<float> vector, float scale)
    {
        vector.CopyTo(_vectors.Span[(place * _dimensions)..]);
        if (_blocks is { } blocks) Int8Rows.Write(vector, scale, blocks.Span, place);
        _places[place] = new Place(row, slot, hash);
    }

    /// <summary>Writer only. Makes the bytes of the rows there are; those of others are written as they come.</summary>
    public void Quantize(float scale)
    {
        var blocks = new AlignedBuffer<byte>(Capacity / Int8Rows.GroupRows * Int8Rows.GroupBytes(_dimensions));
        for (int place = 0; place < Capacity && _places[place].Row is not null; place++) Int8Rows.Write(Vector(place), scale, blocks.Span, place);
        _blocks = blocks;
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
