using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.Gateway.Feed;

internal static class FeedEndpoints
{
    public static void MapFeed(this IEndpointRouteBuilder endpoints) =>
        endpoints.MapGet("/v1/users/{userId}/feed", GetFeedAsync).WithTags("Feed").WithSummary("One page of a user's feed")
            .WithDescription("A user nobody has heard of gets a cold-start feed. A stage that fails or is late is named in `degraded`, and the page is served without it. "
                + "With `explain=true` each item says why it has its score, and `removed` what the filters took out.")
            .WithParameters(
                new("limit", "integer", "Items of the page, 1-200. Default 30.", 30), new("cursor", "string", "nextCursor of the page before, for \"load more\".", null),
                new("explain", "boolean", "Say why. Default false.", true), new("surface", "string", "Where in the client the feed is shown, at most 64 characters.", "home"),
                new("excludeIds", "string", "Items not to serve, comma separated, at most 1,000.", "item-7,item-9"),
                new("language", "string", "The viewer's language, BCP 47. Absent = any.", "en"), new("region", "string", "The viewer's region, ISO 3166 or UN M.49. Absent = any.", "DE"))
            .ProducesProblem(StatusCodes.Status503ServiceUnavailable).WithMeshProblems();

    private static async Task<Results<Ok<FeedResponse>, ValidationProblem, ProblemHttpResult>> GetFeedAsync(
        string userId, [AsParameters] FeedParameters parameters, FeedPipeline pipeline, FeatureFlags flags, GatewayMetrics metrics, TimeProvider clock, HttpContext context)
    {
        FeedQuery? query = parameters.ToQuery(userId, flags, clock.GetUtcNow(), out Faults faults);
        if (query is null) return Problem.Invalid(faults);
        try
        {
            return TypedResults.Ok(FeedResponse.From(await pipeline.RunAsync(query, context.RequestAborted)));
        }
        catch (StageFailedException failed)
        {
            metrics.FeedFailed();
            return Problem.Unavailable(context, failed.Message);
        }
    }
}
