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
    // Protobuf JSON in a CloudEvent is up to about three times the binary size, so a call stays below 4 MiB.
    private const int CallBytesMax = 1024 * 1024;

    public async Task<IReadOnlyDictionary<int, string>> PublishAsync<T>(
        string topic, IReadOnlyList<T> messages, TimeSpan budget, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(budget);
        var refused = new Dictionary<int, string>();
        int taken = 0;
        foreach (Range call in Calls(messages))
        {
            (int offset, int count) = call.GetOffsetAndLength(messages.Count);
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

    /// <summary>Splits a batch where its size, or its count, would pass what one call may carry.</summary>
    internal static IEnumerable<Range> Calls<T>(IReadOnlyList<T> messages) where T : IMessage
    {
        int start = 0;
        int bytes = 0;
        for (int i = 0; i < messages.Count; i++)
        {
            int size = messages[i].CalculateSize();
            if (i > start && bytes + size > CallBytesMax)
            {
                yield return start..i;
                start = i;
                bytes = 0;
            }

            bytes += size;
        }

        if (start < messages.Count) yield return start..messages.Count;
    }

    private static string Detail(Exception failure) => failure switch
    {
        DaprException { InnerException: RpcException rpc } => rpc.Status.Detail,
        RpcException rpc => rpc.Status.Detail,
        _ => failure.Message,
    };
}
