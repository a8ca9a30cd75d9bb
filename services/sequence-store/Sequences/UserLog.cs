using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Appends to users' logs. For one user there must be one caller at a time, which the actor sees to. Nothing is kept between
/// turns: the head is read again each time (one round trip to the local sidecar), so that memory does not grow with the
/// number of active users, and an instance that the placement moved away and back can never write over newer events.
/// </summary>
internal sealed class UserLog(IUserStateStore store, LogShape shape, TimeProvider clock, SequenceMetrics metrics)
{
    /// <summary>
    /// Appends what is new; returns when it is durable. A crash after the transaction and before the answer makes the broker
    /// deliver the batch again, and then all of it is found to be there.
    /// </summary>
    /// <param name="batch">Events of this user. Events that can never be stored are skipped.</param>
    public async Task<AppendOutcome> AppendAsync(string user, IReadOnlyList<Engagement> batch, CancellationToken cancellation)
    {
        string headKey = StateKeys.Head(user), engagedKey = StateKeys.Engaged(user);
        IReadOnlyDictionary<string, byte[]> values = await store.GetAsync([headKey, engagedKey], cancellation);
        var turn = new AppendTurn(user, shape, values.Read<UserHead>(headKey), values.Read<EngagedItems>(engagedKey));

        IReadOnlyList<ChunkEntry> needed = turn.Admit(Read(batch));
        IReadOnlyDictionary<string, byte[]> chunks = needed.Count == 0
            ? new Dictionary<string, byte[]>()
            : await store.GetAsync([.. needed.Select(entry => StateKeys.Chunk(user, entry.ChunkId))], cancellation);
        turn.Place(chunks, clock.GetUtcNow().ToUnixTimeMilliseconds());

        IReadOnlyCollection<KeyValuePair<string, byte[]?>> writes = turn.Writes();
        if (writes.Count > 0) await store.TransactAsync(writes, cancellation);

        var outcome = new AppendOutcome(turn.Added.Count, turn.Duplicates, turn.Late, turn.Expired);
        metrics.Appended(outcome, turn.Added, clock.GetUtcNow().ToUnixTimeMilliseconds());
        return outcome;
    }

    private static IEnumerable<IncomingEvent> Read(IReadOnlyList<Engagement> batch)
    {
        foreach (Engagement engagement in batch)
        {
            if (EventReading.TryRead(engagement, out LoggedEvent logged, out _)) yield return new IncomingEvent(logged, engagement.ReceivedAtMs);
        }
    }
}

/// <summary>What became of a batch: every event is in exactly one of added, duplicates and expired; late ones are among the added.</summary>
internal readonly record struct AppendOutcome(int Added, int Duplicates, int Late, int Expired);
