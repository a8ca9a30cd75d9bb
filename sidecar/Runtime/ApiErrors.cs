using System.Text.Json;
using System.Text.Json.Serialization;
using Grpc.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>Errors of the HTTP face: one body format for all of them, and the mapping from exceptions.</summary>
public static class ApiErrors
{
    private const string ErrorInfo = "type.googleapis.com/google.rpc.ErrorInfo";
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes <c>{"errorCode","message"}</c>. Does nothing where the answer has begun.</summary>
    public static Task WriteAsync(HttpContext context, int status, string errorCode, string message)
    {
        ArgumentNullException.ThrowIfNull(context);
        return WriteAsync(context, status, new Body(errorCode, message, null));
    }

    /// <summary>Writes a failure of the API, with its reason in <c>details</c> where it has one.</summary>
    public static Task WriteAsync(HttpContext context, DaprApiException error)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(error);
        Detail[]? details = error.Reason is null ? null : [new Detail(ErrorInfo, error.Reason, "dapr.io", error.ReasonMetadata)];
        return WriteAsync(context, error.HttpStatus, new Body(error.ErrorCode, error.Message, details));
    }

    /// <summary>A body that is not the JSON it should be.</summary>
    public static DaprApiException MalformedRequest(string detail) => new(
        StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", $"failed deserializing HTTP body: {detail}", StatusCode.InvalidArgument);

    private static Task WriteAsync(HttpContext context, int status, Body body)
    {
        if (context.Response.HasStarted) return Task.CompletedTask;

        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(JsonSerializer.Serialize(body, Json));
    }

    private sealed record Body(string ErrorCode, string Message, Detail[]? Details);

    private sealed record Detail([property: JsonPropertyName("@type")] string Type, string Reason, string Domain, IReadOnlyDictionary<string, string>? Metadata);
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
            await ApiErrors.WriteAsync(context, error);
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
