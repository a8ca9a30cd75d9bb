using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Vectors of many segments, one after the other, as floats and as bytes: memory of one piece is read three times as fast as 16 KB here and
/// there (34 GB/s against 10, 1,000,000 x 64 by clusters of 244 rows), as no segment costs cache misses for buffers of its own.
/// </summary>
internal sealed class VectorChunk(int slots, int dimensions)
{
    private volatile AlignedBuffer<byte>? _blocks; // made once the index outgrows exact search, which tells the scale

    public int Dimensions => dimensions;

    /// <summary>[slots, dimensions]</summary>
    public AlignedBuffer<float> Vectors { get; } = new(slots * dimensions);

    /// <summary>The same as <see cref="Int8Rows"/>; null while every search is exact.</summary>
    public AlignedBuffer<byte>? Blocks => _blocks;

    public long Bytes => 4L * Vectors.Length + (_blocks?.Length ?? 0) + 300;

    /// <summary>Slots of a chunk at most, so that its vectors fit an array.</summary>
    public static int SlotsMax(int dimensions) => Math.Max(Segment.RowsMax, 1 << Math.Min(16, 28 - int.Log2(dimensions)));

    /// <summary>Writer only. Bytes for every slot, from vectors written before; those of later ones are written as they come.</summary>
    /// <param name="used">Slots that have a vector.</param>
    public void Quantize(float scale, IEnumerable<int> used)
    {
        var blocks = new AlignedBuffer<byte>(slots / Int8Rows.GroupRows * Int8Rows.GroupBytes(dimensions));
        foreach (int slot in used) Int8Rows.Write(Vectors.Span.Slice(slot * dimensions, dimensions), scale, blocks.Span, slot);
        _blocks = blocks;
    }
}
