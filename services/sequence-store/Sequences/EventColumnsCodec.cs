using System.Buffers.Binary;
using Google.Protobuf;
using Mesh.Contracts.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Events to columns and back. Columns keep equal things together: times are differences, values and request ids vanish where
/// none is set, surfaces are bytes into a dictionary. An imported event takes about 30 bytes, most of them its two ids.
/// </summary>
internal static class EventColumnsCodec
{
    public const int IdBytes = 16;

    // A surface is one byte. Past 255 names in one chunk the rest share the empty name, which is always at 0.
    private const int SurfacesMax = 256;

    public static EventColumns Encode(ReadOnlySpan<LoggedEvent> events)
    {
        var columns = new EventColumns();
        var actions = new byte[events.Length];
        var surfaces = new byte[events.Length];
        var eventIds = new byte[events.Length * IdBytes];
        var requestIds = new byte[events.Length * IdBytes];
        var surfaceIndex = new Dictionary<string, byte>(StringComparer.Ordinal) { [""] = 0 };
        bool anyValue = false, anyRequest = false;
        long previousMs = 0;
        columns.SurfaceNames.Add("");
        for (int i = 0; i < events.Length; i++)
        {
            ref readonly LoggedEvent logged = ref events[i];
            columns.ItemIds.Add(logged.ItemId);
            columns.TimeDeltasMs.Add(logged.Key.TimeMs - previousMs);
            columns.Values.Add(logged.Value);
            actions[i] = logged.Action;
            surfaces[i] = SurfaceOf(logged.Surface, surfaceIndex, columns);
            logged.Key.Id.TryWriteBytes(eventIds.AsSpan(i * IdBytes));
            logged.RequestId.TryWriteBytes(requestIds.AsSpan(i * IdBytes));
            anyValue |= logged.Value != 0;
            anyRequest |= logged.RequestId != Ulid.Empty;
            previousMs = logged.Key.TimeMs;
        }

        if (!anyValue) columns.Values.Clear();
        columns.Actions = UnsafeByteOperations.UnsafeWrap(actions);
        columns.Surfaces = UnsafeByteOperations.UnsafeWrap(surfaces);
        columns.EventIds = UnsafeByteOperations.UnsafeWrap(eventIds);
        if (anyRequest) columns.RequestIds = UnsafeByteOperations.UnsafeWrap(requestIds);
        return columns;
    }

    public static LoggedEvent[] Decode(EventColumns columns)
    {
        int count = columns.ItemIds.Count;
        var events = new LoggedEvent[count];
        long timeMs = 0;
        for (int i = 0; i < count; i++)
        {
            timeMs += columns.TimeDeltasMs[i];
            events[i] = new LoggedEvent(
                new EventKey(timeMs, IdAt(columns.EventIds, i)),
                columns.ItemIds[i],
                columns.Actions[i],
                columns.Values.Count == 0 ? 0 : columns.Values[i],
                columns.RequestIds.IsEmpty ? Ulid.Empty : IdAt(columns.RequestIds, i),
                columns.SurfaceNames[columns.Surfaces[i]]);
        }

        return events;
    }

    /// <summary>The i-th of the 16-byte ids that lie one behind the other.</summary>
    public static Ulid IdAt(ByteString ids, int index) => new(ids.Span.Slice(index * IdBytes, IdBytes));

    /// <summary>
    /// 64 bits that stand for an id where only "seen before?" is asked: all 128 bits are mixed in, so that ids that differ
    /// anywhere collide by chance alone, 1,024 / 2^64 per event.
    /// </summary>
    public static ulong Fingerprint(Ulid id)
    {
        Span<byte> bytes = stackalloc byte[IdBytes];
        id.TryWriteBytes(bytes);
        return Mix(BinaryPrimitives.ReadUInt64BigEndian(bytes) + Mix(BinaryPrimitives.ReadUInt64BigEndian(bytes[8..])));
    }

    private static byte SurfaceOf(string surface, Dictionary<string, byte> indexes, EventColumns columns)
    {
        if (indexes.TryGetValue(surface, out byte index)) return index;
        if (indexes.Count == SurfacesMax) return 0;

        index = (byte)indexes.Count;
        indexes.Add(surface, index);
        columns.SurfaceNames.Add(surface);
        return index;
    }

    // The finaliser of splitmix64: a bijection whose output bits each depend on every input bit.
    private static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
