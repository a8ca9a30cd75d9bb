using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Centroids as bytes, in blocks, by which a search finds the clusters to probe. One writer, any reader: a reader may see a centroid half
/// written, which at worst probes a cluster that is a little further away.
/// </summary>
internal sealed class CoarseTable
{
    // Replaced whole by the writer when it grows.
    private volatile AlignedBuffer<byte> _blocks = new(0);
    private int _count;

    /// <summary>Clusters from 0 on that a search may choose from.</summary>
    public int Count => Volatile.Read(ref _count);

    public long Bytes => _blocks.Length + 100;

    /// <summary>Writer only.</summary>
    public void Put(int ordinal, ReadOnlySpan<float> centroid, float scale)
    {
        int groupBytes = Int8Rows.GroupBytes(centroid.Length);
        if ((ordinal + 1) * (groupBytes / Int8Rows.GroupRows) > _blocks.Length)
        {
            var longer = new AlignedBuffer<byte>(Math.Max(groupBytes, 2 * _blocks.Length));
            _blocks.Span.CopyTo(longer.Span);
            _blocks = longer;
        }

        Int8Rows.Write(centroid, scale, _blocks.Span, ordinal);
        if (ordinal >= _count) Volatile.Write(ref _count, ordinal + 1);
    }

    /// <summary>Adds every centroid with its dot product to the hits.</summary>
    /// <param name="hits">Begun, with room for <see cref="Count"/> and 64 more.</param>
    /// <param name="groups">Scratch: a word for each 64 clusters.</param>
    /// <param name="count">Of clusters to score.</param>
    public void Score(ScanHits hits, int count, Span<ulong> groups)
    {
        ReadOnlySpan<byte> blocks = _blocks.Span;
        groups.Fill(ulong.MaxValue);
        if (count % Int8Rows.GroupRows != 0) groups[^1] = (1ul << (count % Int8Rows.GroupRows)) - 1;
        Int8Scan.Run(blocks[..(groups.Length * Int8Rows.GroupBytes(hits.Query.Dimensions))], groups, 0, [hits]);
    }
}
