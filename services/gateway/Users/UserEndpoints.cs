using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Feed;
using Mesh.Gateway.Input;
using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Pipeline.Filters;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Users;

/// <summary>
/// The social profile, the history and the erasure of a user. These are calls, not events: 204 means done, and the next
/// feed obeys. All are idempotent.
/// </summary>
internal static class UserEndpoints
{
    private const int HistoryMax = 1_000;
    private const int WordLengthMax = 100;

    public static void MapUsers(this IEndpointRouteBuilder endpoints)
    {
        RouteGroupBuilder users = endpoints.MapGroup("/v1/users/{userId}").WithTags("Users");
        MapAuthors(users, "follows", ProfileList.Follows, "Follow an author", "Unfollow an author");
        MapAuthors(users, "mutes", ProfileList.Mutes, "Mute an author", "Unmute an author");
        MapAuthors(users, "blocks", ProfileList.Blocks, "Block an author", "Unblock an author");
        users.MapPut(
            "/muted-words/{word}", (string userId, string word, HttpContext context, UserCalls calls) => ChangeWordAsync(userId, word, false, context, calls))
            .WithSummary("Mute a word or a phrase").WithDescription(
                "Compared with text and tags by tokens, in lower case: muting \"cat\" leaves \"category\". At most 100 characters.").WithCallProblems();
        users.MapDelete(
            "/muted-words/{word}", (string userId, string word, HttpContext context, UserCalls calls) => ChangeWordAsync(userId, word, true, context, calls))
            .WithSummary("Unmute a word or a phrase").WithCallProblems();
        users.MapGet("/history", GetHistoryAsync).WithSummary("What a user has done, newest first")
            .WithParameters(
                new("asOf", "string", "As of this moment: ISO 8601 or Unix milliseconds. Absent = now.", "2026-11-22T13:00:00Z"), new("limit", "integer", "Events to answer, 1-1,000. Default 100.", 100))
            .WithCallProblems();
        users.MapDelete("", EraseAsync).WithSummary("Erase a user")
            .WithDescription("Removes the log, the profile and the request log of the user. Erasing twice is fine.").WithCallProblems();
    }

    private static RouteHandlerBuilder WithCallProblems(this RouteHandlerBuilder builder) =>
        builder.ProducesProblem(StatusCodes.Status503ServiceUnavailable).WithMeshProblems();

    private static void MapAuthors(RouteGroupBuilder users, string path, ProfileList list, string add, string remove)
    {
        users.MapPut(
            $"/{path}/{{authorId}}", (string userId, string authorId, HttpContext context, UserCalls calls) => ChangeAuthorAsync(userId, authorId, list, false, context, calls))
            .WithSummary(add).WithCallProblems();
        users.MapDelete(
            $"/{path}/{{authorId}}", (string userId, string authorId, HttpContext context, UserCalls calls) => ChangeAuthorAsync(userId, authorId, list, true, context, calls))
            .WithSummary(remove).WithCallProblems();
    }

    private static async Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> ChangeAuthorAsync(
        string userId, string authorId, ProfileList list, bool remove, HttpContext context, UserCalls calls)
    {
        Faults faults = UserFaults(userId);
        if (!MeshId.IsValid(authorId)) faults.Add("authorId", Rules.IdFault("authorId", authorId));
        if (faults.Any) return Problem.Invalid(faults);
        return await calls.ChangeAsync(context, userId, new ProfileChange { List = list, Value = authorId, Remove = remove });
    }

    private static async Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> ChangeWordAsync(
        string userId, string word, bool remove, HttpContext context, UserCalls calls)
    {
        // The server leaves an encoded slash in a path as it is.
        string text = word.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase).Trim();
        Faults faults = UserFaults(userId);
        if (text.Length > WordLengthMax || Rules.HasControl(text, false))
            faults.Add(
                "word", $"word {Shown.Value(text)} is not allowed: at most {WordLengthMax} characters, none of them a control character.");
        else if (Tokens.Of(text).Count == 0)
            faults.Add("word", $"word {Shown.Value(text)} holds no letter or digit; nothing could match it.");
        if (faults.Any) return Problem.Invalid(faults);
        return await calls.ChangeAsync(context, userId, new ProfileChange { List = ProfileList.MutedWords, Value = text, Remove = remove });
    }

    private static async Task<Results<Ok<HistoryResponse>, ValidationProblem, ProblemHttpResult>> GetHistoryAsync(
        string userId, string? asOf, string? limit, HttpContext context, IMeshServices services, IOptions<GatewayOptions> options)
    {
        Faults faults = UserFaults(userId);
        long? asOfMs = null;
        if (!string.IsNullOrEmpty(asOf))
        {
            if (Moment.TryParseQuery(asOf, out long parsed) && parsed >= 0) asOfMs = parsed;
            else faults.Add("asOf", $"asOf {Shown.Value(asOf)} is not a time since 1970: {Moment.Rule}.");
        }

        int count = QueryText.Integer(faults, "limit", limit, 100, 1, HistoryMax);
        if (faults.Any) return Problem.Invalid(faults);
        try
        {
            UserHistory history = await services.GetHistoryAsync(
                userId, asOfMs, count, TimeSpan.FromMilliseconds(options.Value.CallTimeoutMs), context.RequestAborted);
            return TypedResults.Ok(HistoryResponse.From(userId, history));
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }

    private static async Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> EraseAsync(string userId, HttpContext context, UserCalls calls)
    {
        Faults faults = UserFaults(userId);
        return faults.Any ? Problem.Invalid(faults) : await calls.EraseAsync(context, userId);
    }

    private static Faults UserFaults(string userId)
    {
        var faults = new Faults();
        if (!MeshId.IsValid(userId)) faults.Add("userId", Rules.IdFault("userId", userId));
        return faults;
    }
}

/// <summary>The durable calls to sequence-store, each answered with 204 or a problem.</summary>
internal sealed class UserCalls(IMeshServices services, IOptions<GatewayOptions> options)
{
    private TimeSpan Budget => TimeSpan.FromMilliseconds(options.Value.CallTimeoutMs);

    public Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> ChangeAsync(HttpContext context, string userId, ProfileChange change) =>
        AnswerAsync(context, services.ChangeProfileAsync(userId, change, Budget, context.RequestAborted));

    public Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> EraseAsync(HttpContext context, string userId) =>
        AnswerAsync(context, services.EraseUserAsync(userId, Budget, context.RequestAborted));

    private static async Task<Results<NoContent, ValidationProblem, ProblemHttpResult>> AnswerAsync(HttpContext context, Task call)
    {
        try
        {
            await call;
            return TypedResults.NoContent();
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }
}
