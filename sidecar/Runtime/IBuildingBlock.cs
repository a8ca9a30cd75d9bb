using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Runtime;

/// <summary>One building block of the Dapr API for one app: state, pub/sub, invocation, actors, ... on both faces over one core.</summary>
public interface IBuildingBlock : IAsyncDisposable
{
    /// <summary>Maps its HTTP routes, <c>/v1.0/...</c>.</summary>
    void MapHttp(IEndpointRouteBuilder routes);

    /// <summary>Binds its methods of <c>dapr.proto.runtime.v1.Dapr</c>.</summary>
    void BindGrpc(GrpcBinder grpc);

    /// <summary>
    /// Called once the app listens (at once where the sidecar has no app): subscriptions, actor registration and the like.
    /// Returns when done with setting up; long work continues in the background until disposal.
    /// </summary>
    Task StartAsync(CancellationToken cancellation);

    /// <summary>What it adds to <c>GET /v1.0/metadata</c>.</summary>
    void Describe(SidecarMetadata metadata);
}

/// <summary>The answer of the metadata API under construction, in the messages of the gRPC face.</summary>
public sealed class SidecarMetadata
{
    public List<Wire.ActiveActorsCount> ActiveActors { get; } = [];

    public List<Wire.PubsubSubscription> Subscriptions { get; } = [];

    public List<Wire.MetadataHTTPEndpoint> HttpEndpoints { get; } = [];

    /// <summary>What each component can do, e.g. <c>ETAG</c>, by component name.</summary>
    public Dictionary<string, IReadOnlyList<string>> Capabilities { get; } = new(StringComparer.Ordinal);

    /// <summary>Null until actors are hosted.</summary>
    public Wire.ActorRuntime? ActorRuntime { get; set; }
}
