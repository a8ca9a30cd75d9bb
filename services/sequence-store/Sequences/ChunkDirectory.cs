using Google.Protobuf;
using Mesh.Contracts.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Searches in the chunk directory of a head. Chunks are ordered and do not overlap, and the tail comes after the last of
/// them: so one binary search names the only chunk that can hold a given event, which makes dedupe exact at any age.
/// </summary>
internal static class ChunkDirectory
{
    public static EventKey LastKey(ChunkEntry entry) => new(entry.LastMs, EventColumnsCodec.IdAt(entry.LastEventId, 0));

    /// <summary>Index of the chunk where an event belongs: the first that ends at or after it. Count = the tail.</summary>
    public static int IndexFor(IReadOnlyList<ChunkEntry> chunks, EventKey key)
    {
        int low = 0, high = chunks.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (LastKey(chunks[middle]).CompareTo(key) < 0) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    /// <summary>
    /// The chunks that hold the newest <paramref name="count"/> events at or before a moment. How many of the last chunk lie
    /// before the moment is known only once it is loaded; at least its first does.
    /// </summary>
    public static IReadOnlyList<ChunkEntry> NewestUntil(IReadOnlyList<ChunkEntry> chunks, long asOfMs, int count)
    {
        int end = 0;
        for (int high = chunks.Count; end < high;)
        {
            int middle = (end + high) / 2;
            if (chunks[middle].FirstMs <= asOfMs) end = middle + 1;
            else high = middle;
        }

        int start = end;
        for (int known = 0; start > 0 && known < count; start--)
        {
            ChunkEntry entry = chunks[start - 1];
            known += entry.LastMs <= asOfMs ? entry.Count : 1;
        }

        return [.. chunks.Skip(start).Take(end - start)];
    }

    public static ChunkEntry EntryOf(long chunkId, ReadOnlySpan<LoggedEvent> events)
    {
        var lastId = new byte[EventColumnsCodec.IdBytes];
        events[^1].Key.Id.TryWriteBytes(lastId);
        return new ChunkEntry
        {
            ChunkId = chunkId,
            Count = events.Length,
            FirstMs = events[0].Key.TimeMs,
            LastMs = events[^1].Key.TimeMs,
            LastEventId = UnsafeByteOperations.UnsafeWrap(lastId),
        };
    }
}
