using Dapr.Actors;
using Dapr.Actors.Client;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Writing;

/// <summary>Reaches each user's actor through the sidecar, wherever it runs. How long a turn may take is in resiliency.yaml.</summary>
internal sealed class ActorUserWriter(IActorProxyFactory actors) : IUserWriter
{
    public Task AppendAsync(string user, IReadOnlyList<Engagement> events, CancellationToken cancellation) =>
        ActorOf(user).AppendAsync(new EngagementBatch { Events = { events } }.ToByteArray(), cancellation);

    public Task MarkServedAsync(string user, IReadOnlyList<Impressions> pages, CancellationToken cancellation) =>
        ActorOf(user).MarkServedAsync(new ImpressionsBatch { Pages = { pages } }.ToByteArray(), cancellation);

    public async Task<ProfileOutcome> ChangeProfileAsync(string user, ProfileChange change, CancellationToken cancellation) =>
        (ProfileOutcome)await ActorOf(user).ChangeProfileAsync(change.ToByteArray(), cancellation);

    public Task LogRequestAsync(RequestLogEntry entry, CancellationToken cancellation) =>
        ActorOf(entry.UserId).LogRequestAsync(entry.ToByteArray(), cancellation);

    public Task EraseAsync(string user, CancellationToken cancellation) => ActorOf(user).EraseAsync(cancellation);

    private IUserSequence ActorOf(string user) => actors.CreateActorProxy<IUserSequence>(new ActorId(user), UserSequenceActor.TypeName);
}
