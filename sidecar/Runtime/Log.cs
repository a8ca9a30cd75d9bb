namespace Mesh.Sidecar.Runtime;

/// <summary>What the sidecar as a whole logs. Event ids 6000-6029; state and bindings go on from 6030.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 6000, Level = LogLevel.Information,
        Message = "Sidecar of {AppId}: Dapr HTTP on {HttpAddress}, gRPC on {GrpcAddress}, app on port {AppPort}, components: {Components}")]
    public static partial void Started(ILogger logger, string appId, string httpAddress, string grpcAddress, string appPort, string components);

    [LoggerMessage(EventId = 6001, Level = LogLevel.Information, Message = "Sidecar of {AppId} stopped")]
    public static partial void Stopped(ILogger logger, string appId);

    [LoggerMessage(EventId = 6002, Level = LogLevel.Information, Message = "Flags without meaning here, accepted and ignored: {Flags}")]
    public static partial void FlagsIgnored(ILogger logger, string flags);

    [LoggerMessage(EventId = 6003, Level = LogLevel.Error, Message = "{Method} {Path} failed in the sidecar itself")]
    public static partial void Unexpected(ILogger logger, Exception error, string method, string path);

    [LoggerMessage(EventId = 6004, Level = LogLevel.Error, Message = "The sidecar of {AppId} could not set up {Block}; it stays unready")]
    public static partial void BlockFailed(ILogger logger, Exception error, string appId, string block);

    [LoggerMessage(EventId = 6005, Level = LogLevel.Information, Message = "The app of {AppId} listens on port {AppPort}; the sidecar is ready")]
    public static partial void Ready(ILogger logger, string appId, int appPort);

    [LoggerMessage(EventId = 6006, Level = LogLevel.Warning, Message = "Component {Component} ({Type}) is left out, as its ignoreErrors says: {Reason}")]
    public static partial void ComponentIgnored(ILogger logger, string component, string type, string reason);

    [LoggerMessage(EventId = 6007, Level = LogLevel.Information, Message = "Shutdown was asked for over the API")]
    public static partial void ShutdownAsked(ILogger logger);

    [LoggerMessage(EventId = 6008, Level = LogLevel.Error, Message = "The gRPC method {Method} failed in the sidecar itself")]
    public static partial void UnexpectedGrpc(ILogger logger, Exception error, string method);

    [LoggerMessage(EventId = 6009, Level = LogLevel.Information, Message = "API called: {Method} {Path} -> {Status} in {DurationMs} ms")]
    public static partial void Called(ILogger logger, string method, string path, int status, long durationMs);
}
