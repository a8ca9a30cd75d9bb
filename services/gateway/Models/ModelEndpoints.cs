using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Input;
using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.Gateway.Models;

/// <summary>Which model is live, and the order to make another one so. Every replica obeys without a restart.</summary>
internal static class ModelEndpoints
{
    public static void MapModels(this IEndpointRouteBuilder endpoints)
    {
        RouteGroupBuilder models = endpoints.MapGroup("/v1/models").WithTags("Models");
        models.MapPost("", PostModelAsync).WithSummary("Make a model live")
            .WithDescription(
                "202 once the broker holds the order. index-updater then embeds the catalogue anew and publishes it as one snapshot with its user tower, and the ranker loads and "
                + "warms the version; GET /v1/models says how far they are. A package that is refused leaves the live one in place. Going back is the same call with the earlier version.")
            .Accepts<ModelInput>("application/json")
            .WithExample("""{"version":"mini-1a2b3c4d","path":"mini"}""", """{"eventId":"01M81S8F46ZVFPXZ362CCT4T2W","version":"mini-1a2b3c4d"}""", 202).WithBodyProblems();
        models.MapGet("", GetModelsAsync).WithSummary("Which model is live, service by service")
            .WithDescription("Always 200: a service that does not answer in time is listed with the reason.").WithMeshProblems();
    }

    private static async Task<Results<Accepted<ModelReference>, ValidationProblem, ProblemHttpResult>> PostModelAsync(
        HttpContext context, Batch batch, IValidator<ModelInput> validator, TimeProvider clock)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request, context.RequestAborted);
        ModelInput input = ModelInput.Bind(body.RootElement, out Faults faults);
        validator.Check(input, faults);
        if (faults.Any) return Problem.Invalid(faults);

        ModelChange change = input.ToChange(clock.GetUtcNow());
        try
        {
            await batch.PublishAsync(Topics.Models, [new Row<ModelChange>(0, change)], context.RequestAborted);
            return TypedResults.Accepted((string?)null, new ModelReference(change.EventId, change.Version));
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }

    private static async Task<Ok<ModelsResponse>> GetModelsAsync(ModelStatus status, CancellationToken cancellation) =>
        TypedResults.Ok(await status.AskAsync(cancellation));
}

/// <summary>The order that the broker holds.</summary>
public sealed record ModelReference(string EventId, string Version);
