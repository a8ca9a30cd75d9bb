using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Sequences;

/// <summary>
/// Erases a user: log, profile, engaged and served in one transaction that leaves a tombstone as head, then the request log.
/// The tombstone holds the moment (events accepted up to it are dropped when they arrive late) and the two counters that
/// must never start again (version and chunk ids), and nothing of the user. A crash between the transactions leaves request
/// log entries behind without an answer having been given; the caller asks again, and erasing twice is fine.
/// </summary>
internal sealed class Erasure(IUserStateStore store, RequestLog requests, TimeProvider clock)
{
    public async Task EraseAsync(string user, CancellationToken cancellation)
    {
        string headKey = StateKeys.Head(user);
        UserHead head = (await store.GetAsync([headKey], cancellation)).Read<UserHead>(headKey);
        var tombstone = new UserHead
        {
            Version = head.Version,
            NextChunkId = head.NextChunkId,
            ErasedAtMs = Math.Max(head.ErasedAtMs, clock.GetUtcNow().ToUnixTimeMilliseconds()),
        };
        List<KeyValuePair<string, byte[]?>> writes =
        [
            new(headKey, tombstone.ToState()),
            new(StateKeys.Engaged(user), null),
            new(StateKeys.Profile(user), null),
            new(StateKeys.Served(user), null),
            .. head.Chunks.Select(chunk => new KeyValuePair<string, byte[]?>(StateKeys.Chunk(user, chunk.ChunkId), null)),
        ];
        await store.TransactAsync(writes, cancellation);
        await requests.EraseAsync(user, cancellation);
    }
}
