using System.Diagnostics.Metrics;
using Mesh.Sidecar.PubSub.Brokers;

namespace Mesh.Sidecar.PubSub;

/// <summary>Counters of one sidecar's pub/sub, on the meter <c>Mesh.Sidecar</c>.</summary>
internal sealed class PubSubMetrics : IDisposable
{
    private readonly string _appId;
    private readonly Meter _meter = new("Mesh.Sidecar");
    private readonly Counter<long> _published;
    private readonly Counter<long> _delivered;
    private readonly Counter<long> _retried;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _deadLettered;

    public PubSubMetrics(string appId)
    {
        _appId = appId;
        _published = _meter.CreateCounter<long>("mesh.sidecar.pubsub.published", "{message}", "Messages that the broker took.");
        _delivered = _meter.CreateCounter<long>("mesh.sidecar.pubsub.delivered", "{message}", "Messages that the app took.");
        _retried = _meter.CreateCounter<long>("mesh.sidecar.pubsub.retried", "{message}", "Failed deliveries that will be tried again.");
        _dropped = _meter.CreateCounter<long>("mesh.sidecar.pubsub.dropped", "{message}", "Messages given up, by reason.");
        _deadLettered = _meter.CreateCounter<long>("mesh.sidecar.pubsub.deadlettered", "{message}", "Messages passed on to a dead-letter topic.");
    }

    /// <summary>Reports what waits for this app's groups. A broker that is shared reports each group through its own app only.</summary>
    public void Observe(Func<IEnumerable<PubSubComponent>> components) => _meter.CreateObservableGauge(
        "mesh.sidecar.pubsub.depth",
        () => components().SelectMany(component => component.Broker.Depths
            .Where(depth => depth.Group == component.Consumers.Group.Name).Select(depth => Depth(component, depth))),
        "{message}", "Messages that wait for a consumer group, those being handled included.");

    public void Published(string pubsub, string topic, int count) => Add(_published, pubsub, topic, count);

    public void Delivered(string pubsub, string topic, int count) => Add(_delivered, pubsub, topic, count);

    public void Retried(string pubsub, string topic, int count) => Add(_retried, pubsub, topic, count);

    public void Dropped(string pubsub, string topic, string reason, int count = 1) =>
        _dropped.Add(count, new("app", _appId), new("pubsub", pubsub), new("topic", topic), new KeyValuePair<string, object?>("reason", reason));

    public void DeadLettered(string pubsub, string topic, int count) => Add(_deadLettered, pubsub, topic, count);

    public void Dispose() => _meter.Dispose();

    private void Add(Counter<long> counter, string pubsub, string topic, int count)
    {
        if (count > 0) counter.Add(count, new("app", _appId), new("pubsub", pubsub), new KeyValuePair<string, object?>("topic", topic));
    }

    private static Measurement<long> Depth(PubSubComponent component, QueueDepth depth) => new(
        depth.Messages, new("pubsub", component.Name), new("topic", depth.Topic), new KeyValuePair<string, object?>("group", depth.Group));
}
