using Mesh.Contracts;

namespace Mesh.SequenceStore.Tests;

/// <summary>Events for tests: everything about the i-th follows from i, so that a duplicate is exact.</summary>
internal static class Engagements
{
    public const long EpochMs = 1_700_000_000_000;

    public static string EventId(int index)
    {
        Span<byte> bytes = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(bytes[12..], index);
        bytes[0] = 1;
        return new Ulid(bytes).ToString();
    }

    public static Engagement Event(int index, long timeMs, string user = "u1", string action = "like", long receivedAtMs = 0) => new()
    {
        EventId = EventId(index),
        UserId = user,
        ItemId = $"item-{index % 97}",
        Action = action,
        TimeMs = timeMs,
        Value = index % 5,
        RequestId = index % 3 == 0 ? EventId(1_000_000 + index) : "",
        Surface = index % 2 == 0 ? "home" : "profile",
        ReceivedAtMs = receivedAtMs,
    };

    /// <summary>What history says of an event that was stored.</summary>
    public static SequenceEvent AsStored(Engagement engagement) => new()
    {
        EventId = engagement.EventId,
        ItemId = engagement.ItemId,
        Action = engagement.Action,
        TimeMs = engagement.TimeMs,
        Value = engagement.Value,
        RequestId = engagement.RequestId,
        Surface = engagement.Surface,
    };

    /// <summary>The slow obvious log: a sorted list of distinct events.</summary>
    public static List<Engagement> Model(IEnumerable<Engagement> sent) =>
        [.. sent.DistinctBy(engagement => engagement.EventId).OrderBy(engagement => engagement.TimeMs).ThenBy(engagement => engagement.EventId, StringComparer.Ordinal)];
}
