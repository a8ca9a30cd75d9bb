using Microsoft.AspNetCore.Mvc;

namespace Mesh.Gateway.Problems;

/// <summary>
/// Writes a problem whatever the Accept header asks for: the framework's own writer steps aside for, say, text/html, and a
/// browser would see an empty 404.
/// </summary>
internal sealed class ProblemWriter : IProblemDetailsWriter
{
    public bool CanWrite(ProblemDetailsContext context) => true;

    public async ValueTask WriteAsync(ProblemDetailsContext context)
    {
        HttpContext http = context.HttpContext;
        Describe(http, context.ProblemDetails);
        await http.Response.WriteAsJsonAsync(
            context.ProblemDetails, context.ProblemDetails.GetType(), options: null, "application/problem+json", http.RequestAborted);
    }

    /// <summary>Fills in what a bare status code does not say.</summary>
    public static void Describe(HttpContext http, ProblemDetails problem)
    {
        int status = problem.Status ?? http.Response.StatusCode;
        problem.Status = status;
        problem.Title ??= Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status);
        problem.Type ??= Type(status);
        problem.Extensions.TryAdd("traceId", System.Diagnostics.Activity.Current?.Id ?? http.TraceIdentifier);
        problem.Detail ??= status switch
        {
            StatusCodes.Status404NotFound =>
                $"Nothing is at {http.Request.Method} {Shown.Value(http.Request.Path)}. /swagger lists what is.",
            StatusCodes.Status405MethodNotAllowed =>
                $"{http.Request.Method} is not a method of {Shown.Value(http.Request.Path)}; it takes {http.Response.Headers.Allow}.",
            StatusCodes.Status413PayloadTooLarge => $"The body is over {Contracts.Limits.BodyBytesMax} bytes. Send smaller batches.",
            StatusCodes.Status415UnsupportedMediaType =>
                $"Content-Type is {Shown.Value(http.Request.ContentType)}; this endpoint takes application/json.",
            StatusCodes.Status500InternalServerError => "The gateway failed at this request. It has been logged under this traceId.",
            _ => null,
        };
    }

    // The section of RFC 9110 that defines the status, as the framework's own writer fills it in.
    private static string Type(int status) => status switch
    {
        >= 400 and <= 417 => $"https://tools.ietf.org/html/rfc9110#section-15.5.{status - 399}",
        StatusCodes.Status429TooManyRequests => "https://tools.ietf.org/html/rfc6585#section-4",
        >= 500 and <= 505 => $"https://tools.ietf.org/html/rfc9110#section-15.6.{status - 499}",
        _ => "about:blank",
    };
}
