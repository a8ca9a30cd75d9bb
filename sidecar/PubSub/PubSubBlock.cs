using Mesh.Sidecar.PubSub.Publishing;
using Mesh.Sidecar.PubSub.Subscriptions;
using Mesh.Sidecar.Resiliency;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub;

/// <summary>Publish and subscribe for one app, on both faces of the API.</summary>
public sealed class PubSubBlock : IBuildingBlock
{
    private readonly PubSubMetrics _metrics;
    private readonly PublishHttp _http;
    private readonly PublishGrpc _grpc;
    private readonly SubscriptionSet? _subscriptions;
    private readonly CancellationTokenSource _stopping = new();

    /// <exception cref="Components.ComponentException">A pub/sub component or a resiliency document cannot be used.</exception>
    public PubSubBlock(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        ILogger logger = context.Loggers.CreateLogger("Mesh.Sidecar.PubSub");
        var components = new PubSubComponents(context);
        var policies = ResiliencyConfiguration.Of(context);
        _metrics = new PubSubMetrics(context.AppId);
        _metrics.Observe(() => components.All);
        var publisher = new Publisher(context, components, policies, _metrics);
        _http = new PublishHttp(publisher);
        _grpc = new PublishGrpc(publisher);
        if (context.App is null) return;

        var services = new DeliveryServices(
            new AppPoster(context.App), new AppPresence(context, logger), publisher, policies, _metrics, logger, _stopping.Token);
        _subscriptions = new SubscriptionSet(context, components, services);
    }

    public void MapHttp(IEndpointRouteBuilder routes) => _http.Map(routes);

    public void BindGrpc(GrpcBinder grpc) => _grpc.Bind(grpc);

    public Task StartAsync(CancellationToken cancellation) => _subscriptions?.StartAsync(cancellation) ?? Task.CompletedTask;

    /// <summary>
    /// Reads the app's subscriptions anew: for whoever restarts the app and knows that it is up. Deliveries that fail on the way
    /// notice a restart by themselves; an app that was idle while it was replaced by one with other topics needs this call.
    /// </summary>
    public Task RefreshSubscriptionsAsync(CancellationToken cancellation) => _subscriptions?.RefreshAsync(cancellation) ?? Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        foreach (SubscriptionDefinition subscription in _subscriptions?.Active ?? []) metadata.Subscriptions.Add(subscription.Describe());
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        if (_subscriptions is not null) await _subscriptions.DisposeAsync();
        _metrics.Dispose();
        _stopping.Dispose();
    }
}
