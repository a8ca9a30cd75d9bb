using Mesh.Contracts;

namespace Mesh.IndexUpdater.Deltas;

/// <summary>The topic that every retrieval replica reads. When a call returns, the broker holds the batch durably.</summary>
internal interface IDeltaPublisher
{
    Task PublishAsync(IndexDeltaBatch batch, CancellationToken cancellation);
}
