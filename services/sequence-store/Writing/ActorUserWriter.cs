using Dapr.Actors;
using Dapr.Actors.Client;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.SequenceStore.Sequences;
using Microsoft.Extensions.Options;

namespace Mesh.SequenceStore.Writing;

/// <summary>Reaches each user's actor through the sidecar, wherever it runs, within a time limit.</summary>
internal sealed class ActorUserWriter(IActorProxyFactory actors, IOptions<SequenceOptions> options, TimeProvider clock) : IUserWriter
{
    public Task AppendAsync(string user, IReadOnlyList<Engagement> events, CancellationToken cancellation)
    {
        byte[] batch = new EngagementBatch { Events = { events } }.ToByteArray();
        return CallAsync(user, (actor, token) => Answered(actor.AppendAsync(batch, token)), cancellation);
    }

    public Task MarkServedAsync(string user, IReadOnlyList<Impressions> pages, CancellationToken cancellation)
    {
        byte[] batch = new ImpressionsBatch { Pages = { pages } }.ToByteArray();
        return CallAsync(user, (actor, token) => Answered(actor.MarkServedAsync(batch, token)), cancellation);
    }

    public async Task<ProfileOutcome> ChangeProfileAsync(string user, ProfileChange change, CancellationToken cancellation) =>
        (ProfileOutcome)await CallAsync(user, (actor, token) => actor.ChangeProfileAsync(change.ToByteArray(), token), cancellation);

    public Task LogRequestAsync(RequestLogEntry entry, CancellationToken cancellation) =>
        CallAsync(entry.UserId, (actor, token) => Answered(actor.LogRequestAsync(entry.ToByteArray(), token)), cancellation);

    public Task EraseAsync(string user, CancellationToken cancellation) =>
        CallAsync(user, (actor, token) => Answered(actor.EraseAsync(token)), cancellation);

    private async Task<int> CallAsync(string user, Func<IUserSequence, CancellationToken, Task<int>> call, CancellationToken cancellation)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMilliseconds(options.Value.ActorTimeoutMs), clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        IUserSequence actor = actors.CreateActorProxy<IUserSequence>(new ActorId(user), UserSequenceActor.TypeName);
        try
        {
            return await call(actor, linked.Token);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"The actor of the user did not answer within {options.Value.ActorTimeoutMs} ms.");
        }
    }

    private static async Task<int> Answered(Task call)
    {
        await call;
        return 0;
    }
}
