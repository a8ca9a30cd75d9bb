using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Mesh.Sidecar.Runtime;
using GrpcMetadata = Grpc.Core.Metadata;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// <c>InvokeService</c>: a call over gRPC to an app that speaks HTTP. Deprecated in Dapr, still used by older SDKs. The HTTP
/// status comes back in <c>dapr-http-status</c>, and as a gRPC status where it is not 2xx.
/// </summary>
internal sealed class GrpcInvocation(ServiceInvoker invoker, InvocationMetrics metrics, TimeProvider clock, ILogger logger)
{
    private const string StatusHeader = "dapr-http-status";
    private int _deprecationSaid;

    public async Task<Wire.InvokeResponse> InvokeAsync(Wire.InvokeServiceRequest call, ServerCallContext context)
    {
        if (Interlocked.Exchange(ref _deprecationSaid, 1) == 0) Log.GrpcDeprecated(logger);
        if (call.Id.Length == 0) throw InvocationErrors.Failed("", "app id is empty");

        long started = clock.GetTimestamp();
        int status = 0;
        using HttpRequestMessage request = Request(call.Message ?? new Wire.InvokeRequest(), context.RequestHeaders);
        try
        {
            using HttpResponseMessage response = await invoker.SendAsync(call.Id, request, context.CancellationToken);
            status = (int)response.StatusCode;
            return await AnswerAsync(response, context);
        }
        finally
        {
            metrics.Called(call.Id, status, clock.GetElapsedTime(started));
        }
    }

    /// <summary>The gRPC code that daprd gives for an HTTP status.</summary>
    internal static StatusCode CodeOf(int httpStatus) => httpStatus switch
    {
        >= 200 and < 300 => StatusCode.OK,
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.NotFound,
        408 => StatusCode.Cancelled,
        409 => StatusCode.AlreadyExists,
        429 => StatusCode.ResourceExhausted,
        501 => StatusCode.Unimplemented,
        503 => StatusCode.Unavailable,
        504 => StatusCode.DeadlineExceeded,
        _ => StatusCode.Unknown,
    };

    private static HttpRequestMessage Request(Wire.InvokeRequest message, GrpcMetadata headers)
    {
        Wire.HTTPExtension.Types.Verb verb = message.HttpExtension?.Verb ?? Wire.HTTPExtension.Types.Verb.None;
        if (verb is Wire.HTTPExtension.Types.Verb.None or Wire.HTTPExtension.Types.Verb.Connect)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, message.HttpExtension is null ? "missing HTTP extension field" : "invalid HTTP verb"));
        }

        string query = message.HttpExtension!.Querystring;
        string path = string.Concat("/", message.Method.TrimStart('/'), query.Length > 0 ? "?" : "", query);
        var request = new HttpRequestMessage(HttpMethod.Parse(verb.ToString().ToUpperInvariant()), new Uri(path, UriKind.Relative));
        if (message.Data is { Value.Length: > 0 } data) request.Content = new ReadOnlyMemoryContent(data.Value.Memory);
        foreach (GrpcMetadata.Entry header in headers)
        {
            if (header.IsBinary || HeaderRules.IsNotForwarded(header.Key) || header.Key is "content-type" or "user-agent") continue;

            HeaderRules.Add(request, header.Key, header.Value);
        }

        if (message.ContentType.Length > 0) HeaderRules.Add(request, "Content-Type", message.ContentType);
        return request;
    }

    private static async Task<Wire.InvokeResponse> AnswerAsync(HttpResponseMessage response, ServerCallContext context)
    {
        int status = (int)response.StatusCode;
        byte[] body = await response.Content.ReadAsByteArrayAsync(context.CancellationToken);
        var headers = new GrpcMetadata { { StatusHeader, status.ToString(CultureInfo.InvariantCulture) } };
        foreach ((string name, var values) in response.Headers.NonValidated)
        {
            string key = name.ToLowerInvariant();
            if (HeaderRules.IsNotForwarded(key) || key is "date" or "server") continue;
            foreach (string value in values) headers.Add(key, value);
        }

        await context.WriteResponseHeadersAsync(headers);
        StatusCode code = CodeOf(status);
        if (code != StatusCode.OK) throw new RpcException(new Status(code, response.ReasonPhrase ?? ""));

        return new Wire.InvokeResponse
        {
            Data = new Any { Value = UnsafeByteOperations.UnsafeWrap(body) },
            ContentType = response.Content.Headers.ContentType?.ToString() ?? "",
        };
    }
}
