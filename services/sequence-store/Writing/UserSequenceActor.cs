using Dapr.Actors.Runtime;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Writing;

/// <summary>
/// Turns of one user. It only unpacks and delegates: what is written lies under plain keys, not in actor state, because
/// readers go to the state API without asking the actor.
/// </summary>
[Actor(TypeName = TypeName)]
internal sealed class UserSequenceActor(ActorHost host, UserLog log, ServedRing served, UserProfile profile, RequestLog requests, Erasure erasure)
    : Actor(host), IUserSequence
{
    public const string TypeName = "UserSequence";

    private string User => Id.GetId();

    public Task AppendAsync(byte[] batch, CancellationToken cancellation) =>
        log.AppendAsync(User, EngagementBatch.Parser.ParseFrom(batch).Events, cancellation);

    public Task MarkServedAsync(byte[] batch, CancellationToken cancellation) =>
        served.MarkAsync(User, ImpressionsBatch.Parser.ParseFrom(batch).Pages, cancellation);

    public async Task<int> ChangeProfileAsync(byte[] change, CancellationToken cancellation) =>
        (int)await profile.ChangeAsync(User, ProfileChange.Parser.ParseFrom(change), cancellation);

    public Task LogRequestAsync(byte[] entry, CancellationToken cancellation) =>
        requests.AppendAsync(User, RequestLogEntry.Parser.ParseFrom(entry), cancellation);

    public Task EraseAsync(CancellationToken cancellation) => erasure.EraseAsync(User, cancellation);
}
