using Mesh.Gateway.OpenApi;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.Gateway.SystemView;

internal static class SystemEndpoints
{
    public static void MapSystem(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/v1/system", GetSystemAsync).WithTags("System").WithSummary(
            "Services, versions, index size and sequence numbers, event lag")
            .WithDescription("Always 200: a service that does not answer in time is reported as down.").WithMeshProblems();
        endpoints.MapGet("/", () => TypedResults.Redirect("/swagger")).ExcludeFromDescription();
    }

    private static async Task<Ok<SystemResponse>> GetSystemAsync(SystemStatus status, CancellationToken cancellation) =>
        TypedResults.Ok(await status.AskAsync(cancellation));
}
