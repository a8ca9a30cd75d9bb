using System.Text.Json;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.Resiliency;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Publishing;

/// <summary>Publishes for one app: checks, wraps, applies the outbound policy. Both faces of the API end here.</summary>
internal sealed class Publisher(SidecarContext context, PubSubComponents components, IPolicyProvider policies, PubSubMetrics metrics)
{
    private readonly CloudEventEnvelope _envelope = new(context.AppId, context.Clock);

    /// <summary>Finds the component and checks that the app may publish there.</summary>
    public PubSubComponent Authorize(string pubsub, string topic)
    {
        if (pubsub.Length == 0) throw PubSubErrors.NameEmpty();
        PubSubComponent component = components.Find(pubsub) ?? throw PubSubErrors.NotFound(pubsub);
        if (topic.Length == 0) throw PubSubErrors.TopicEmpty(pubsub);
        if (!component.Scopes.MayPublish(topic)) throw PubSubErrors.Forbidden(topic, context.AppId);
        return component;
    }

    /// <summary>Publishes entries in order.</summary>
    /// <returns>Why an entry was not taken, by its index; empty = all are with the broker.</returns>
    /// <exception cref="DaprApiException">The request is refused, or no entry was taken.</exception>
    public async Task<IReadOnlyDictionary<int, string>> PublishAsync(
        PubSubComponent component, string topic, IReadOnlyList<PublishEntry> entries, bool rawPayload, TraceContext trace, CancellationToken cancellation)
    {
        var messages = new OutgoingMessage[entries.Count];
        for (int i = 0; i < messages.Length; i++) messages[i] = Build(component, topic, entries[i], rawPayload, trace);
        if (messages.Length == 0) return new Dictionary<int, string>();
        return await SendAsync(component, topic, messages, cancellation);
    }

    /// <summary>Passes messages on as they are: dead letters.</summary>
    public async Task<IReadOnlyDictionary<int, string>> SendAsync(
        PubSubComponent component, string topic, IReadOnlyList<OutgoingMessage> messages, CancellationToken cancellation)
    {
        try
        {
            IReadOnlyDictionary<int, string> failed = await policies.ComponentOutbound(component.Name, ComponentKind.PubSub).ExecuteAsync(
                token => component.Broker.PublishAsync(topic, messages, token), exception => exception is BrokerException, cancellation);
            metrics.Published(component.Name, topic, messages.Count - failed.Count);
            return failed;
        }
        catch (Exception exception) when (exception is BrokerException or TimeoutException or CircuitOpenException)
        {
            throw PubSubErrors.Publish(topic, component.Name, exception.Message);
        }
    }

    /// <summary>Reads the flag, mapping its fault to the API's error.</summary>
    public static bool RawPayload(RequestMetadata metadata)
    {
        try
        {
            return metadata.RawPayload;
        }
        catch (FormatException exception)
        {
            throw PubSubErrors.Metadata(exception.Message);
        }
    }

    private OutgoingMessage Build(PubSubComponent component, string topic, PublishEntry entry, bool rawPayload, TraceContext trace)
    {
        TimeSpan? ttl = entry.Metadata.TimeToLive;
        TimeSpan? brokerTtl = component.Broker.ExpiresMessages ? ttl : null;
        if (rawPayload)
        {
            string contentType = entry.ContentType.Length > 0 ? entry.ContentType : "application/octet-stream";
            var traced = new Dictionary<string, string> { ["traceparent"] = trace.TraceParent };
            return new OutgoingMessage(entry.Data, contentType, IsCloudEvent: false, traced, brokerTtl);
        }

        try
        {
            ReadOnlyMemory<byte> cloudEvent = _envelope.Wrap(component.Name, topic, entry, trace, component.Broker.ExpiresMessages ? null : ttl);
            return new OutgoingMessage(cloudEvent, CloudEventEnvelope.ContentType, IsCloudEvent: true, null, brokerTtl);
        }
        catch (JsonException exception)
        {
            throw PubSubErrors.CloudEvent(exception.Message);
        }
    }
}
