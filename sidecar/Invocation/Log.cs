namespace Mesh.Sidecar.Invocation;

/// <summary>Service invocation: events 6200-6249.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 6200, Level = LogLevel.Debug, Message = "Call to {Callee} not connected, retry {Attempt}: {Reason}")]
    public static partial void Retrying(ILogger logger, string callee, int attempt, string reason);

    [LoggerMessage(EventId = 6201, Level = LogLevel.Warning, Message = "The answer of {Callee} broke off: {Reason}")]
    public static partial void BrokeOff(ILogger logger, string callee, string reason);

    [LoggerMessage(EventId = 6202, Level = LogLevel.Warning, Message = "InvokeService over gRPC is deprecated in Dapr; call over HTTP instead. Said once.")]
    public static partial void GrpcDeprecated(ILogger logger);
}
