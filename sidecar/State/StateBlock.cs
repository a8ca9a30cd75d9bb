using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>The state API of one app: HTTP and gRPC, over the stores of its components.</summary>
public sealed class StateBlock : IBuildingBlock
{
    private readonly SidecarContext _context;
    private readonly StateHttp _http;
    private readonly StateGrpc _grpc;

    public StateBlock(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        _http = new StateHttp(context.States);
        _grpc = new StateGrpc(context.States);
    }

    public void MapHttp(IEndpointRouteBuilder routes) => _http.Map(routes);

    public void BindGrpc(GrpcBinder grpc) => _grpc.Bind(grpc);

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        foreach (ComponentDefinition component in _context.Components.Where(component => component.Type.StartsWith("state.", StringComparison.Ordinal)))
        {
            metadata.Capabilities[component.Name] = ["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"];
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
