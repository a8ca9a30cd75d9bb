using Dapr.Actors;

namespace Mesh.SequenceStore.Writing;

/// <summary>The single writer of one of the 256 buckets of the directory of users.</summary>
public interface IUserBucket : IActor
{
    Task AddAsync(string user, CancellationToken cancellation);

    Task RemoveAsync(string user, CancellationToken cancellation);
}
