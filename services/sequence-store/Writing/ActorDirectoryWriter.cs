using Dapr.Actors;
using Dapr.Actors.Client;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Writing;

/// <summary>Reaches each bucket's actor through the sidecar, wherever it runs.</summary>
internal sealed class ActorDirectoryWriter(IActorProxyFactory actors) : IDirectoryWriter
{
    public Task AddAsync(string user, CancellationToken cancellation) => BucketOf(user).AddAsync(user, cancellation);

    public Task RemoveAsync(string user, CancellationToken cancellation) => BucketOf(user).RemoveAsync(user, cancellation);

    private IUserBucket BucketOf(string user) => actors.CreateActorProxy<IUserBucket>(new ActorId(UserDirectory.BucketOf(user)), UserBucketActor.TypeName);
}
