using Dapr.Actors;

namespace Mesh.SequenceStore.Writing;

/// <summary>
/// The single writer of one user: the actor runtime takes its calls one at a time. Arguments are protobuf messages as bytes,
/// so that they cross the sidecar as one base64 string each, whatever their shape.
/// </summary>
public interface IUserSequence : IActor
{
    /// <param name="batch">An EngagementBatch: events of this user.</param>
    Task AppendAsync(byte[] batch, CancellationToken cancellation);

    /// <param name="batch">An ImpressionsBatch: pages served to this user.</param>
    Task MarkServedAsync(byte[] batch, CancellationToken cancellation);

    /// <param name="change">A ProfileChange.</param>
    /// <returns>A ProfileOutcome.</returns>
    Task<int> ChangeProfileAsync(byte[] change, CancellationToken cancellation);

    /// <param name="entry">A RequestLogEntry of this user.</param>
    Task LogRequestAsync(byte[] entry, CancellationToken cancellation);

    Task EraseAsync(CancellationToken cancellation);
}
