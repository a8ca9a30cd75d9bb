using Mesh.Gateway.Edge;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.Gateway.Problems;

/// <summary>The problem answers of the API (RFC 9457), in one place so that each status reads the same everywhere.</summary>
internal static class Problem
{
    /// <summary>Seconds a client should wait after a 503: about what a restarted service needs.</summary>
    public const int RetryAfterSeconds = 2;

    public static ValidationProblem Invalid(Faults faults) => Invalid(faults.ToErrors());

    public static ValidationProblem Invalid(string field, string message) =>
        Invalid(new Dictionary<string, string[]> { [field] = [message] });

    public static ProblemHttpResult NotFound(string detail) => TypedResults.Problem(detail, statusCode: StatusCodes.Status404NotFound);

    /// <summary>Nothing is known to be durable; the caller repeats the whole call, which is idempotent by event id.</summary>
    public static ProblemHttpResult Unavailable(HttpContext context, string detail)
    {
        context.Response.Headers.RetryAfter = RetryAfterSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return TypedResults.Problem(detail, statusCode: StatusCodes.Status503ServiceUnavailable);
    }

    /// <summary>A service's refusal (4xx) is the caller's to see; everything else means that it is out of reach now.</summary>
    public static ProblemHttpResult From(HttpContext context, ServiceUnavailableException failure) =>
        failure.Status is 400 or 404 or 409 or 413 or 422
            ? TypedResults.Problem(failure.Message, statusCode: failure.Status)
            : Unavailable(context, failure.Message);

    private static ValidationProblem Invalid(IDictionary<string, string[]> errors) =>
        TypedResults.ValidationProblem(
            errors, detail: $"{errors.Sum(pair => pair.Value.Length)} fault(s) in {string.Join(", ", errors.Keys.Take(8))}.", title: "The request is not valid.");
}
