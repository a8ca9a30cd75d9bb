using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>A log changed under a reader more often than it was willing to start again. Ask again.</summary>
internal sealed class TornReadException(string user, int attempts)
    : Exception($"The log of the user changed during each of {attempts} reads.")
{
    public string User => user;
}

/// <summary>
/// Reads users' logs as of a moment, straight from the state API and never through the actor, so that reads do not queue
/// behind writes. One bulk get brings head, profile, engaged and served; a second brings the chunks that the tail does not
/// cover. A chunk that a writer swapped in between is simply gone, and the read starts again from a newer head.
/// </summary>
internal sealed class SequenceReader(IUserStateStore store)
{
    private const int AttemptsMax = 5;

    /// <summary>The newest events at or before a moment, with the profile and what was engaged with and served.</summary>
    public async Task<UserContext> ContextAsync(string user, long asOfMs, int eventsMax, CancellationToken cancellation)
    {
        string profileKey = StateKeys.Profile(user), engagedKey = StateKeys.Engaged(user), servedKey = StateKeys.Served(user);
        LogRead read = await ReadAsync(user, [profileKey, engagedKey, servedKey], asOfMs, eventsMax, cancellation);
        return new UserContext
        {
            UserId = user,
            Version = read.Total == 0 ? 0 : read.Head.Version,
            AsOfMs = asOfMs,
            Sequence = SequenceOf(read.Events),
            Profile = read.Values.Read<SocialProfile>(profileKey),
            Engaged = { read.Values.Read<EngagedItems>(engagedKey).ItemHashes },
            Served = { read.Values.Read<ServedItems>(servedKey).ItemHashes },
            EventsTotal = read.Total,
        };
    }

    /// <summary>The newest events at or before a moment, newest first.</summary>
    public async Task<UserHistory> HistoryAsync(string user, long asOfMs, int limit, CancellationToken cancellation)
    {
        LogRead read = await ReadAsync(user, [], asOfMs, limit, cancellation);
        var history = new UserHistory { UserId = user, EventsTotal = read.Total };
        for (int i = read.Events.Length - 1; i >= 0; i--)
        {
            LoggedEvent logged = read.Events[i];
            history.Events.Add(new SequenceEvent
            {
                EventId = logged.Key.Id.ToString(),
                ItemId = logged.ItemId,
                Action = ActionTaxonomy.Default.NameOf(logged.Action),
                TimeMs = logged.Key.TimeMs,
                Value = logged.Value,
                RequestId = logged.RequestId == Ulid.Empty ? "" : logged.RequestId.ToString(),
                Surface = logged.Surface,
            });
        }

        return history;
    }

    /// <summary>The whole log, oldest first: at most as many events as one user may have.</summary>
    public async Task<LoggedEvent[]> LogAsync(string user, CancellationToken cancellation) =>
        (await ReadAsync(user, [], long.MaxValue, int.MaxValue, cancellation)).Events;

    private async Task<LogRead> ReadAsync(string user, string[] alsoKeys, long asOfMs, int count, CancellationToken cancellation)
    {
        string headKey = StateKeys.Head(user);
        for (int attempt = 0; attempt < AttemptsMax; attempt++)
        {
            IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, .. alsoKeys], cancellation);
            UserHead head = values.Read<UserHead>(headKey);
            LoggedEvent[] tail = EventColumnsCodec.Decode(head.Tail ?? new EventColumns());
            int tailTaken = CountUntil(tail, asOfMs);
            IReadOnlyList<ChunkEntry> needed = ChunkDirectory.NewestUntil(head.Chunks, asOfMs, count - tailTaken);
            if (await LoadAsync(user, needed, cancellation) is { } chunks)
            {
                long total = head.Chunks.Sum(chunk => (long)chunk.Count) + tail.Length;
                return new LogRead(values, head, total, Newest(chunks, tail.AsSpan(0, tailTaken), asOfMs, count));
            }
        }

        throw new TornReadException(user, AttemptsMax);
    }

    private async Task<List<LoggedEvent[]>?> LoadAsync(string user, IReadOnlyList<ChunkEntry> needed, CancellationToken cancellation)
    {
        if (needed.Count == 0) return [];

        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([.. needed.Select(entry => StateKeys.Chunk(user, entry.ChunkId))], cancellation);
        var chunks = new List<LoggedEvent[]>(needed.Count);
        foreach (ChunkEntry entry in needed)
        {
            if (!values.TryGetValue(StateKeys.Chunk(user, entry.ChunkId), out byte[]? bytes)) return null;
            chunks.Add(EventColumnsCodec.Decode(EventColumns.Parser.ParseFrom(bytes)));
        }

        return chunks;
    }

    private static LoggedEvent[] Newest(List<LoggedEvent[]> chunks, ReadOnlySpan<LoggedEvent> tail, long asOfMs, int count)
    {
        var events = new List<LoggedEvent>();
        foreach (LoggedEvent[] chunk in chunks)
        {
            events.AddRange(chunk.AsSpan(0, CountUntil(chunk, asOfMs)));
        }

        events.AddRange(tail);
        return [.. events.Skip(events.Count - count)];
    }

    /// <summary>How many of an ordered run lie at or before the moment.</summary>
    internal static int CountUntil(ReadOnlySpan<LoggedEvent> events, long asOfMs)
    {
        int low = 0, high = events.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (events[middle].Key.TimeMs <= asOfMs) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    /// <summary>Events as columns.</summary>
    internal static Sequence SequenceOf(ReadOnlySpan<LoggedEvent> events)
    {
        var sequence = new Sequence();
        var actions = new byte[events.Length];
        var surfaces = new Dictionary<string, uint>(StringComparer.Ordinal);
        for (int i = 0; i < events.Length; i++)
        {
            ref readonly LoggedEvent logged = ref events[i];
            sequence.ItemIds.Add(logged.ItemId);
            actions[i] = logged.Action;
            sequence.TimesMs.Add(logged.Key.TimeMs);
            sequence.Values.Add(logged.Value);
            if (!surfaces.TryGetValue(logged.Surface, out uint surface))
            {
                surfaces.Add(logged.Surface, surface = (uint)surfaces.Count);
                sequence.SurfaceNames.Add(logged.Surface);
            }

            sequence.Surfaces.Add(surface);
        }

        sequence.Actions = UnsafeByteOperations.UnsafeWrap(actions);
        return sequence;
    }

    private sealed record LogRead(IReadOnlyDictionary<string, byte[]> Values, UserHead Head, long Total, LoggedEvent[] Events);
}
