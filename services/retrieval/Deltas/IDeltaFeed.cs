using Mesh.Contracts;

namespace Mesh.Retrieval.Deltas;

/// <summary>The authority on the index: index-updater's ordered log and its newest snapshot. A process edge.</summary>
internal interface IDeltaFeed
{
    /// <summary>Manifest of the newest snapshot; null where none was made yet.</summary>
    /// <exception cref="FeedException">index-updater could not be asked.</exception>
    Task<SnapshotManifest?> GetLatestSnapshotAsync(CancellationToken cancellation);

    /// <summary>Deltas after a sequence number, consecutive, at most <paramref name="max"/>, with the head of the log.</summary>
    /// <exception cref="FeedException">index-updater could not be asked.</exception>
    Task<IndexDeltaBatch> GetDeltasAsync(ulong after, int max, CancellationToken cancellation);
}

/// <summary>The log or a snapshot could not be read, or what was read does not fit together. Trying again later may help.</summary>
internal sealed class FeedException : Exception
{
    public FeedException(string message)
        : base(message)
    {
    }

    public FeedException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
