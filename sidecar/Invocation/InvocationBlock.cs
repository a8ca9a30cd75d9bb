using Mesh.Sidecar.Runtime;
using Microsoft.AspNetCore.Http.Features;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Invocation;

/// <summary>
/// Service invocation: any verb, any path, bodies streamed both ways. The hot path of the mesh: one lookup, one pooled
/// connection to the callee, and bytes copied once from socket to socket.
/// </summary>
internal sealed class InvocationBlock : IBuildingBlock
{
    private readonly ILogger _logger;
    private readonly InvocationMetrics _metrics;
    private readonly ServiceInvoker _invoker;
    private readonly GrpcInvocation _grpc;
    private readonly TimeProvider _clock;

    public InvocationBlock(SidecarContext context)
    {
        _logger = context.Loggers.CreateLogger("Mesh.Sidecar.Invocation");
        _metrics = context.Shared.GetOrAdd("metrics:invocation", () => new InvocationMetrics());
        _invoker = new ServiceInvoker(context, _logger);
        _grpc = new GrpcInvocation(_invoker, _metrics, context.Clock, _logger);
        _clock = context.Clock;
    }

    public void MapHttp(IEndpointRouteBuilder routes)
    {
        routes.Map("/v1.0/invoke/{**target}", HandleAsync);

        // The form with a dapr-app-id header takes any path and verb that no other route takes.
        routes.MapFallback("{**path}", HandleAsync);
    }

    public void BindGrpc(GrpcBinder grpc) => grpc.Unary<Wire.InvokeServiceRequest, Wire.InvokeResponse>("InvokeService", _grpc.InvokeAsync);

    public Task StartAsync(CancellationToken cancellation) => Task.CompletedTask;

    public void Describe(SidecarMetadata metadata)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task HandleAsync(HttpContext context)
    {
        if (!InvocationTarget.TryParse(context.Request, out InvocationTarget target)) throw InvocationErrors.NoAppId();

        long started = _clock.GetTimestamp();
        int status = 0;
        using HttpRequestMessage request = Request(context, target);
        try
        {
            using HttpResponseMessage response = await _invoker.SendAsync(target.AppId, request, context.RequestAborted);
            status = (int)response.StatusCode;
            await CopyAsync(response, context.Response, context.RequestAborted);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            context.Abort(); // the caller left; the callee saw its connection close
        }
        catch (HttpRequestException failure) when (ServiceInvoker.RequestFault(failure) is { } fault)
        {
            context.Response.StatusCode = fault.StatusCode;
        }
        catch (Exception failure) when (failure is IOException or HttpRequestException)
        {
            Log.BrokeOff(_logger, target.AppId, failure.Message);
            if (!context.Response.HasStarted)
            {
                context.Response.Clear();
                throw InvocationErrors.Failed(target.AppId, failure.Message);
            }

            context.Abort(); // the status is out: a cut connection is the only way left to say that the answer is not whole
        }
        finally
        {
            _metrics.Called(target.AppId, status, _clock.GetElapsedTime(started));
        }
    }

    private static HttpRequestMessage Request(HttpContext context, InvocationTarget target)
    {
        var request = new HttpRequestMessage(HttpMethod.Parse(context.Request.Method), new Uri(target.PathAndQuery, UriKind.Relative));
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true) request.Content = new RequestBodyContent(context.Request);
        HeaderRules.CopyRequest(context.Request.Headers, request);
        return request;
    }

    private static async Task CopyAsync(HttpResponseMessage from, HttpResponse to, CancellationToken cancellation)
    {
        const int smallBody = 4_096, chunk = 16_384;
        to.StatusCode = (int)from.StatusCode;
        HeaderRules.CopyResponse(from, to.Headers);
        long? length = from.Content.Headers.ContentLength;
        if (length is null) await to.StartAsync(cancellation); // a stream: its headers do not wait for its first byte

        await using Stream body = await from.Content.ReadAsStreamAsync(cancellation);
        while (true)
        {
            int read = await body.ReadAsync(to.BodyWriter.GetMemory(length <= smallBody ? smallBody : chunk), cancellation);
            if (read == 0) return;

            to.BodyWriter.Advance(read);
            if ((await to.BodyWriter.FlushAsync(cancellation)).IsCompleted) return;
        }
    }
}
