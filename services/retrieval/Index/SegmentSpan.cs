namespace Mesh.Retrieval.Index;

/// <summary>Where what a search reads of a segment lies. Side by side for all segments: the segment itself is a cache miss, and leads to three more.</summary>
/// <param name="Chunk">Number of its chunk.</param>
/// <param name="FirstWord">Its first word among those of all chunks.</param>
/// <param name="Words">Words of a row of bits.</param>
/// <param name="Vectors">Address of its first vector, which holds as long as the segment is reachable.</param>
internal readonly record struct SegmentSpan(int Chunk, int FirstWord, int Words, nint Vectors);
