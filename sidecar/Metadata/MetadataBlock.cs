using System.Collections.Concurrent;
using System.Text;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Metadata;

/// <summary>
/// What this sidecar is and has: <c>/v1.0/metadata</c> and <c>GetMetadata</c>, each block adding its part. Attributes set
/// by callers live as long as the sidecar.
/// </summary>
public sealed class MetadataBlock(SidecarContext context, IReadOnlyList<IBuildingBlock> blocks) : IBuildingBlock
{
    private const int AttributesMax = 1_000;
    private readonly ConcurrentDictionary<string, string> _attributes = new(StringComparer.Ordinal);

    public void MapHttp(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1.0/metadata", Get);
        routes.MapPut("/v1.0/metadata/{key}", Put);
    }

    public void BindGrpc(GrpcBinder grpc)
    {
        ArgumentNullException.ThrowIfNull(grpc);
        grpc.Unary<Wire.GetMetadataRequest, Wire.GetMetadataResponse>("GetMetadata", (_, _) => Task.FromResult(Build()));
        grpc.Unary<Wire.SetMetadataRequest, Empty>("SetMetadata", (request, _) =>
        {
            Set(request.Key, request.Value);
            return Task.FromResult(new Empty());
        });
    }

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task Get(HttpContext http)
    {
        http.Response.ContentType = "application/json";
        return http.Response.Body.WriteAsync(MetadataJson.Write(Build()), http.RequestAborted).AsTask();
    }

    private async Task Put(HttpContext http)
    {
        using var reader = new StreamReader(http.Request.Body, Encoding.UTF8);
        Set(http.PathSegment(2), await reader.ReadToEndAsync(http.RequestAborted));
        http.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private void Set(string key, string value)
    {
        if (key.Length == 0) return;
        if (_attributes.Count >= AttributesMax && !_attributes.ContainsKey(key))
        {
            throw new DaprApiException(
                StatusCodes.Status400BadRequest, "ERR_BAD_REQUEST", $"invalid request: more than {AttributesMax} metadata attributes", StatusCode.ResourceExhausted);
        }

        _attributes[key] = value;
    }

    private Wire.GetMetadataResponse Build()
    {
        var parts = new SidecarMetadata();
        foreach (IBuildingBlock block in blocks) block.Describe(parts);

        SidecarOptions options = context.Options;
        var response = new Wire.GetMetadataResponse
        {
            Id = context.AppId,
            RuntimeVersion = SidecarOptions.RuntimeVersion,
            AppConnectionProperties = new Wire.AppConnectionProperties
            {
                Port = options.AppPort ?? 0,
                Protocol = "http",
                ChannelAddress = options.AppAddress,
                MaxConcurrency = options.AppConcurrencyMax ?? 0,
            },
            ActorRuntime = parts.ActorRuntime ?? new Wire.ActorRuntime { RuntimeStatus = Wire.ActorRuntime.Types.ActorRuntimeStatus.Disabled },
        };
        foreach (ComponentDefinition component in context.Components)
        {
            var registered = new Wire.RegisteredComponents { Name = component.Name, Type = component.Type, Version = component.Version };
            registered.Capabilities.Add(parts.Capabilities.GetValueOrDefault(component.Name) ?? []);
            response.RegisteredComponents.Add(registered);
        }

        foreach ((string key, string value) in _attributes) response.ExtendedMetadata[key] = value;
        response.ExtendedMetadata["daprRuntimeVersion"] = SidecarOptions.RuntimeVersion;
        List<Wire.ActiveActorsCount> actors = parts.ActiveActors.Count > 0 ? parts.ActiveActors : [.. response.ActorRuntime.ActiveActors];
#pragma warning disable CS0612 // obsolete in the contract, and what the SDKs still read
        response.ActiveActorsCount.Add(actors);
#pragma warning restore CS0612
        response.Subscriptions.Add(parts.Subscriptions);
        response.HttpEndpoints.Add(parts.HttpEndpoints);
        response.Resiliencies.Add(context.Resources.OfKind("Resiliency")
            .Where(document => document.IsVisibleTo(context.AppId)).Select(document => new Wire.MetadataResiliency { Name = document.Name }));
        return response;
    }
}
