using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Grpc.Core;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Bindings;

/// <summary>Output bindings of one app on both faces: <c>/v1.0/bindings/{name}</c> and <c>InvokeBinding</c>.</summary>
public sealed class BindingsBlock : IBuildingBlock
{
    private static readonly string[] PostOrPut = [HttpMethods.Post, HttpMethods.Put];
    private readonly Dictionary<string, IOutputBinding> _bindings = new(StringComparer.Ordinal);

    /// <exception cref="ComponentException">A binding cannot be opened and its component does not say ignoreErrors.</exception>
    public BindingsBlock(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        foreach (ComponentDefinition component in context.Components.Where(component => component.Type == ComponentTypes.BindingLocalStorage))
        {
            try
            {
                _bindings[component.Name] = LocalStorage.Open(component, context.Options.DataDirectory, context.Clock);
            }
            catch (ComponentException error) when (component.IgnoreErrors)
            {
                Log.ComponentIgnored(context.Loggers.CreateLogger("Mesh.Sidecar.Bindings"), component.Name, component.Type, error.Message);
            }
        }
    }

    public void MapHttp(IEndpointRouteBuilder routes) => routes.MapMethods("/v1.0/bindings/{name}", PostOrPut, InvokeHttp);

    public void BindGrpc(GrpcBinder grpc)
    {
        ArgumentNullException.ThrowIfNull(grpc);
        grpc.Unary<Wire.InvokeBindingRequest, Wire.InvokeBindingResponse>("InvokeBinding", InvokeGrpc);
    }

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        foreach (string name in _bindings.Keys) metadata.Capabilities[name] = ["OUTPUT_BINDING"];
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task InvokeHttp(HttpContext http)
    {
        using JsonDocument body = await http.Request.ReadJsonAsync();
        BindingResponse? response = await InvokeAsync(http.PathSegment(2), ReadRequest(body.RootElement), http.RequestAborted);
        foreach ((string name, string value) in response?.Metadata ?? new Dictionary<string, string>()) http.Response.Headers["metadata." + name] = value;
        if (response is null)
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        http.Response.ContentType = "application/json";
        http.Response.ContentLength = response.Data.Length;
        await http.Response.BodyWriter.WriteAsync(response.Data, http.RequestAborted);
    }

    private async Task<Wire.InvokeBindingResponse> InvokeGrpc(Wire.InvokeBindingRequest request, ServerCallContext call)
    {
        BindingResponse? response = await InvokeAsync(
            request.Name, new BindingRequest(request.Operation, request.Data.Memory, request.Metadata), call.CancellationToken);
        var answer = new Wire.InvokeBindingResponse();
        if (response is null) return answer;

        answer.Data = UnsafeByteOperations.UnsafeWrap(response.Data);
        foreach ((string name, string value) in response.Metadata ?? new Dictionary<string, string>()) answer.Metadata[name] = value;
        return answer;
    }

    private async Task<BindingResponse?> InvokeAsync(string name, BindingRequest request, CancellationToken cancellation)
    {
        try
        {
            if (request.Operation.Length == 0) throw new BindingException("operation field is missing from request");
            if (!_bindings.TryGetValue(name, out IOutputBinding? binding)) throw new BindingException($"couldn't find output binding {name}");
            if (!binding.Operations.Contains(request.Operation))
            {
                throw new BindingException(
                    $"binding {name} does not support operation {request.Operation}. supported operations:{string.Join(' ', binding.Operations)}");
            }

            return await binding.InvokeAsync(request, cancellation);
        }
        catch (BindingException error)
        {
            throw new DaprApiException(
                StatusCodes.Status500InternalServerError, "ERR_INVOKE_OUTPUT_BINDING", $"error invoking output binding {name}: {error.Message}", StatusCode.Internal);
        }
    }

    // Data is whatever JSON the caller gave, handed on as its text: a string stays quoted, and the binding unquotes it.
    private static BindingRequest ReadRequest(JsonElement body)
    {
        if (body.ValueKind != JsonValueKind.Object) throw ApiErrors.MalformedRequest("the body must be an object");

        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        string operation = "";
        byte[] data = "null"u8.ToArray();
        foreach (JsonProperty property in body.EnumerateObject())
        {
            switch (property.Name.ToLowerInvariant())
            {
                case "operation":
                    operation = Text(property.Value, "operation");
                    break;
                case "data":
                    data = Encoding.UTF8.GetBytes(property.Value.GetRawText());
                    break;
                case "metadata" when property.Value.ValueKind == JsonValueKind.Object:
                    foreach (JsonProperty item in property.Value.EnumerateObject()) metadata[item.Name] = Text(item.Value, item.Name);
                    break;
            }
        }

        return new BindingRequest(operation, data, metadata);
    }

    private static string Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.String ? element.GetString()! : throw ApiErrors.MalformedRequest($"'{name}' must be a string");
}
