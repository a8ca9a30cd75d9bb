using Google.Protobuf;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// Binds methods of <c>dapr.proto.runtime.v1.Dapr</c> by hand: Dapr.Protos ships the messages and the client stubs, not the
/// server base class. <see cref="DaprApiException"/> becomes its gRPC status.
/// </summary>
public sealed class GrpcBinder(ILoggerFactory loggers)
{
    internal const string ServiceName = "dapr.proto.runtime.v1.Dapr";
    private readonly ILogger _logger = loggers.CreateLogger("Mesh.Sidecar.Grpc");
    private readonly List<Action<ServiceMethodProviderContext<DaprGrpcService>>> _methods = [];

    /// <summary>Binds a unary method by its proto name, e.g. <c>GetState</c>.</summary>
    public void Unary<TRequest, TResponse>(string name, Func<TRequest, ServerCallContext, Task<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>, new() where TResponse : class, IMessage<TResponse>, new() =>
        _methods.Add(context => context.AddUnaryMethod(
            Define<TRequest, TResponse>(MethodType.Unary, name), [], (_, request, call) => Guard(name, () => handler(request, call))));

    /// <summary>Binds a server-streaming method.</summary>
    public void ServerStreaming<TRequest, TResponse>(string name, Func<TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task> handler)
        where TRequest : class, IMessage<TRequest>, new() where TResponse : class, IMessage<TResponse>, new() =>
        _methods.Add(context => context.AddServerStreamingMethod(
            Define<TRequest, TResponse>(MethodType.ServerStreaming, name), [],
            (_, request, stream, call) => Guard(name, async () => { await handler(request, stream, call); return true; })));

    /// <summary>Binds a bidirectional method.</summary>
    public void DuplexStreaming<TRequest, TResponse>(string name, Func<IAsyncStreamReader<TRequest>, IServerStreamWriter<TResponse>, ServerCallContext, Task> handler)
        where TRequest : class, IMessage<TRequest>, new() where TResponse : class, IMessage<TResponse>, new() =>
        _methods.Add(context => context.AddDuplexStreamingMethod(
            Define<TRequest, TResponse>(MethodType.DuplexStreaming, name), [],
            (_, requests, stream, call) => Guard(name, async () => { await handler(requests, stream, call); return true; })));

    internal void Apply(ServiceMethodProviderContext<DaprGrpcService> context)
    {
        foreach (Action<ServiceMethodProviderContext<DaprGrpcService>> bind in _methods) bind(context);
    }

    private async Task<T> Guard<T>(string method, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (DaprApiException error)
        {
            throw new RpcException(new Status(error.GrpcStatus, error.Message));
        }
        catch (Exception error) when (error is not (RpcException or OperationCanceledException))
        {
            Log.UnexpectedGrpc(_logger, error, method);
            throw new RpcException(new Status(StatusCode.Internal, error.Message));
        }
    }

    private static Method<TRequest, TResponse> Define<TRequest, TResponse>(MethodType type, string name)
        where TRequest : class, IMessage<TRequest>, new() where TResponse : class, IMessage<TResponse>, new() =>
        new(type, ServiceName, name, Marshaller<TRequest>(), Marshaller<TResponse>());

    private static Marshaller<T> Marshaller<T>() where T : class, IMessage<T>, new()
    {
        var parser = new MessageParser<T>(static () => new T());
        return new Marshaller<T>(
            static (message, context) =>
            {
                context.SetPayloadLength(message.CalculateSize());
                message.WriteTo(context.GetBufferWriter());
                context.Complete();
            },
            context => parser.ParseFrom(context.PayloadAsReadOnlySequence()));
    }
}

/// <summary>The gRPC service that <see cref="GrpcBinder"/> binds methods to; it holds nothing itself.</summary>
public sealed class DaprGrpcService;

internal sealed class DaprMethodProvider(GrpcBinder binder) : IServiceMethodProvider<DaprGrpcService>
{
    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<DaprGrpcService> context) => binder.Apply(context);
}
