using Grpc.Core;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>Failures of the publish API: HTTP status, error code and gRPC status of each, as daprd answers them.</summary>
internal static class PubSubErrors
{
    public static DaprApiException NameEmpty() => new(404, "ERR_PUBSUB_EMPTY", "pubsub name is empty", StatusCode.InvalidArgument);

    public static DaprApiException NotFound(string pubsub) =>
        new(404, "ERR_PUBSUB_NOT_FOUND", $"pubsub {pubsub} is not found", StatusCode.InvalidArgument);

    public static DaprApiException TopicEmpty(string pubsub) =>
        new(404, "ERR_TOPIC_NAME_EMPTY", $"topic is empty in pubsub {pubsub}", StatusCode.InvalidArgument);

    public static DaprApiException Metadata(string fault) =>
        new(400, "ERR_PUBSUB_REQUEST_METADATA", $"failed deserializing metadata. Error: {fault}", StatusCode.InvalidArgument);

    public static DaprApiException Forbidden(string topic, string appId) =>
        new(403, "ERR_PUBSUB_FORBIDDEN", $"topic {topic} is not allowed for app id {appId}", StatusCode.PermissionDenied);

    public static DaprApiException CloudEvent(string fault) =>
        new(500, "ERR_PUBSUB_CLOUD_EVENTS_SER", $"cannot create cloudevent: {fault}", StatusCode.InvalidArgument);

    public static DaprApiException Envelope(string topic, string pubsub, string fault) =>
        new(400, "ERR_PUBSUB_EVENTS_SER", $"error when marshalling cloud event envelope for topic {topic} pubsub {pubsub}: {fault}", StatusCode.InvalidArgument);

    public static DaprApiException Request(string topic, string pubsub, string fault) =>
        new(400, "ERR_PUBSUB_EVENTS_SER", $"error when unmarshaling the request for topic {topic} pubsub {pubsub}: {fault}", StatusCode.InvalidArgument);

    public static DaprApiException EntryIds(string topic, string pubsub) =>
        new(
            400, "ERR_PUBSUB_EVENTS_SER",
            $"error marshaling events to bytes for topic {topic} pubsub {pubsub}. error: entryId is duplicated or not present for entry",
            StatusCode.InvalidArgument);

    public static DaprApiException Publish(string topic, string pubsub, string fault) =>
        new(500, PublishCode, $"error when publishing to topic {topic} in pubsub {pubsub}: {fault}", StatusCode.Internal);

    public const string PublishCode = "ERR_PUBSUB_PUBLISH_MESSAGE";
}
