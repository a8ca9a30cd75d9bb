using Google.Protobuf.WellKnownTypes;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Health;

/// <summary>Health and shutdown: <c>/v1.0/healthz</c>, <c>/v1.0/healthz/outbound</c>, <c>/v1.0/shutdown</c>.</summary>
public sealed class HealthBlock(SidecarContext context) : IBuildingBlock
{
    public void MapHttp(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1.0/healthz", GetHealth);
        routes.MapGet("/v1.0/healthz/outbound", static () => Results.NoContent());
        routes.MapPost("/v1.0/shutdown", Shutdown);
    }

    public void BindGrpc(GrpcBinder grpc)
    {
        ArgumentNullException.ThrowIfNull(grpc);
        grpc.Unary<global::Dapr.Client.Autogen.Grpc.v1.ShutdownRequest, Empty>("Shutdown", (_, _) =>
        {
            Shutdown();
            return Task.FromResult(new Empty());
        });
    }

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // With ?appid=x the caller asks whether this is still the sidecar of x, the port being perhaps reused.
    private Task GetHealth(HttpContext http)
    {
        if (!context.Health.IsReady)
        {
            return ApiErrors.WriteAsync(
                http, StatusCodes.Status500InternalServerError, "ERR_HEALTH_NOT_READY", $"dapr is not ready: [{context.Health.WaitsFor}]");
        }

        if (http.Request.Query.TryGetValue("appid", out var appId) && appId != context.AppId)
        {
            return ApiErrors.WriteAsync(
                http, StatusCodes.Status500InternalServerError, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match");
        }

        http.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    private IResult Shutdown()
    {
        Log.ShutdownAsked(context.Loggers.CreateLogger("Mesh.Sidecar"));
        context.Health.RequestShutdown();
        return Results.NoContent();
    }
}
