using Dapr;
using Google.Protobuf;
using Grpc.Core;
using Mesh.Contracts;
using Mesh.Hosting;

namespace Mesh.Gateway.Edge;

/// <summary>
/// Publishes through the sidecar in calls of bounded size: a batch may hold 8 MiB, and a sidecar takes 4 MiB a call by
/// default.
/// </summary>
internal sealed class SidecarTopics(EventPublisher publisher, ILogger<SidecarTopics> logger) : IEventTopics
{
    public async Task<IReadOnlyDictionary<int, string>> PublishAsync<T>(
        string topic, IReadOnlyList<T> messages, TimeSpan budget, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(budget);
        var refused = new Dictionary<int, string>();
        int taken = 0;
        foreach (List<int> call in CallBatches.Split(Enumerable.Range(0, messages.Count), index => messages[index].CalculateSize()))
        {
            (int offset, int count) = (call[0], call.Count);
            try
            {
                List<T> part = [.. messages.Skip(offset).Take(count)];
                IReadOnlyDictionary<int, string> failed = await publisher.PublishBulkAsync(Components.PubSub, topic, part, timeout.Token);
                foreach ((int index, string reason) in failed) refused[offset + index] = reason;
                taken += count - failed.Count;
            }
            catch (Exception failure) when (
                !cancellation.IsCancellationRequested
                && failure is DaprException or RpcException or HttpRequestException or OperationCanceledException)
            {
                // Calls before this one are durable, so only its own rows, and those after it, are to be sent again.
                string reason = failure is OperationCanceledException
                    ? "the broker did not answer in time"
                    : $"the broker could not be reached: {Detail(failure)}";
                Log.PublishFailed(logger, topic, messages.Count - offset, reason);
                if (taken == 0) throw new ServiceUnavailableException($"Nothing was published on {topic}: {reason}.", inner: failure);
                for (int i = offset; i < messages.Count; i++) refused[i] = reason;
                break;
            }
        }

        return refused;
    }

    private static string Detail(Exception failure) => failure switch
    {
        DaprException { InnerException: RpcException rpc } => rpc.Status.Detail,
        RpcException rpc => rpc.Status.Detail,
        _ => failure.Message,
    };
}
