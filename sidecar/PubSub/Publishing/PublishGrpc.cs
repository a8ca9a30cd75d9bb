using Dapr.Client.Autogen.Grpc.v1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>The gRPC face: PublishEvent and the bulk calls under both their names.</summary>
internal sealed class PublishGrpc(Publisher publisher)
{
    public void Bind(GrpcBinder grpc)
    {
        grpc.Unary<PublishEventRequest, Empty>("PublishEvent", PublishAsync);
        grpc.Unary<BulkPublishRequest, BulkPublishResponse>("BulkPublishEvent", PublishBulkAsync);
        grpc.Unary<BulkPublishRequest, BulkPublishResponse>("BulkPublishEventAlpha1", PublishBulkAsync);
        grpc.DuplexStreaming<SubscribeTopicEventsRequestAlpha1, SubscribeTopicEventsResponseAlpha1>(
            "SubscribeTopicEventsAlpha1", static (_, _, _) => throw new RpcException(new Status(
                StatusCode.Unimplemented,
                "Streaming subscriptions are not served by the embedded sidecar. Subscribe by /dapr/subscribe or a Subscription resource, or run with daprd.")));
    }

    private async Task<Empty> PublishAsync(PublishEventRequest request, ServerCallContext call)
    {
        PubSubComponent component = publisher.Authorize(request.PubsubName, request.Topic);
        var metadata = new RequestMetadata(request.Metadata);
        var entry = new PublishEntry("", request.Data.Memory, request.DataContentType, metadata);
        IReadOnlyDictionary<int, string> failed = await publisher.PublishAsync(
            component, request.Topic, [entry], Publisher.RawPayload(metadata), TraceOf(call), call.CancellationToken);
        if (failed.Count > 0) throw PubSubErrors.Publish(request.Topic, request.PubsubName, failed[0]);
        return new Empty();
    }

    private async Task<BulkPublishResponse> PublishBulkAsync(BulkPublishRequest request, ServerCallContext call)
    {
        PubSubComponent component = publisher.Authorize(request.PubsubName, request.Topic);
        var metadata = new RequestMetadata(request.Metadata);
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var entries = new List<PublishEntry>(request.Entries.Count);
        foreach (BulkPublishRequestEntry entry in request.Entries)
        {
            if (entry.EntryId.Length == 0 || !ids.Add(entry.EntryId)) throw PubSubErrors.EntryIds(request.Topic, request.PubsubName);
            RequestMetadata own = entry.Metadata.Count == 0 ? metadata : metadata.OverriddenBy(entry.Metadata);
            entries.Add(new PublishEntry(entry.EntryId, entry.Event.Memory, entry.ContentType, own));
        }

        IReadOnlyDictionary<int, string> failed = await publisher.PublishAsync(
            component, request.Topic, entries, Publisher.RawPayload(metadata), TraceOf(call), call.CancellationToken);
        var response = new BulkPublishResponse();
        response.FailedEntries.AddRange(failed.Select(fault =>
            new BulkPublishResponseFailedEntry { EntryId = entries[fault.Key].EntryId, Error = fault.Value }));
        return response;
    }

    private static TraceContext TraceOf(ServerCallContext call) =>
        Tracing.Of(call.RequestHeaders.GetValue("traceparent"), call.RequestHeaders.GetValue("tracestate"));
}
