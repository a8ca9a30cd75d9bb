using Dapr.Actors.Runtime;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Writing;

/// <summary>
/// Turns of one bucket of the directory. Users' actors call it within their own turns, and it calls nobody, so that no two
/// turns can wait for each other.
/// </summary>
[Actor(TypeName = TypeName)]
internal sealed class UserBucketActor(ActorHost host, UserDirectory directory) : Actor(host), IUserBucket
{
    public const string TypeName = "UserBucket";

    public Task AddAsync(string user, CancellationToken cancellation) => directory.AddAsync(user, cancellation);

    public Task RemoveAsync(string user, CancellationToken cancellation) => directory.RemoveAsync(user, cancellation);
}
