using System.Text.Json;
using Grpc.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>Errors of the HTTP face: one body format for all of them, and the mapping from exceptions.</summary>
public static class ApiErrors
{
    /// <summary>Writes <c>{"errorCode","message"}</c>. Does nothing where the answer has begun.</summary>
    public static Task WriteAsync(HttpContext context, int status, string errorCode, string message)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Response.HasStarted) return Task.CompletedTask;

        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(JsonSerializer.Serialize(new Body(errorCode, message), JsonSerializerOptions.Web));
    }

    /// <summary>A body that is not the JSON it should be.</summary>
    public static DaprApiException MalformedRequest(string detail) => new(
        StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", $"failed deserializing HTTP body: {detail}", StatusCode.InvalidArgument);

    private sealed record Body(string ErrorCode, string Message);
}

/// <summary>Outermost on the HTTP face: turns exceptions into Dapr's error bodies, and unknown routes into its 404.</summary>
internal sealed class ApiErrorHandler(RequestDelegate next, ILoggerFactory loggers)
{
    private readonly ILogger _logger = loggers.CreateLogger("Mesh.Sidecar.Http");

    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (DaprApiException error)
        {
            await ApiErrors.WriteAsync(context, error.HttpStatus, error.ErrorCode, error.Message);
        }
        catch (BadHttpRequestException error)
        {
            // A body over the limit is 413; the rest is a caller that breaks HTTP.
            await ApiErrors.WriteAsync(context, error.StatusCode, "ERR_BODY_READ", $"failed to read request body: {error.Message}");
        }
        catch (JsonException error)
        {
            await ApiErrors.WriteAsync(
                context, StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", $"failed deserializing HTTP body: {error.Message}");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has left; nobody reads an answer.
        }
#pragma warning disable CA1031 // the last resort of the face: logged once, answered as Dapr does
        catch (Exception error) when (!context.Response.HasStarted)
#pragma warning restore CA1031
        {
            Log.Unexpected(_logger, error, context.Request.Method, context.Request.Path);
            await ApiErrors.WriteAsync(context, StatusCodes.Status500InternalServerError, "ERR_INTERNAL", error.Message);
        }
    }
}
