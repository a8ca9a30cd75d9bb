using System.Globalization;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Deltas;

/// <summary>The feed over service invocation.</summary>
internal sealed class UpdaterDeltaFeed(ServiceInvoker invoker, FollowerState state, IOptions<RetrievalOptions> options) : IDeltaFeed
{
    private readonly TimeSpan _budget = TimeSpan.FromMilliseconds(options.Value.FeedTimeoutMs);

    public async Task<SnapshotManifest?> GetLatestSnapshotAsync(CancellationToken cancellation)
    {
        try
        {
            return await GetAsync<SnapshotManifest>(string.Create(CultureInfo.InvariantCulture, $"snapshots/latest?shard={options.Value.Shard}"), cancellation);
        }
        catch (FeedException exception) when (exception.InnerException is ServiceCallException { Status: StatusCodes.Status404NotFound })
        {
            return null;
        }
    }

    public async Task<IndexDeltaBatch> GetDeltasAsync(ulong after, int max, CancellationToken cancellation)
    {
        IndexDeltaBatch batch = await GetAsync<IndexDeltaBatch>(
            string.Create(CultureInfo.InvariantCulture, $"deltas?shard={options.Value.Shard}&after={after}&max={max}"), cancellation);
        state.NoteShards(batch.Shards);
        return batch;
    }

    private async Task<T> GetAsync<T>(string path, CancellationToken cancellation) where T : IMessage<T>, new()
    {
        try
        {
            T answer = await invoker.GetAsync<T>(AppIds.IndexUpdater, path, _budget, cancellation);
            state.NoteFeed("");
            return answer;
        }
        catch (Exception exception) when (IsTrouble(exception) && !cancellation.IsCancellationRequested)
        {
            if (exception is not ServiceCallException { Status: StatusCodes.Status404NotFound }) state.NoteFeed(exception.Message);
            throw new FeedException(exception.Message, exception);
        }
    }

    private static bool IsTrouble(Exception exception) =>
        exception is HttpRequestException or ServiceCallException or OperationCanceledException or InvalidProtocolBufferException or IOException;
}
