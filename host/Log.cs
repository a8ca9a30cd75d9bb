namespace Mesh.Host;

internal static partial class Log
{
    [LoggerMessage(EventId = 7001, Level = LogLevel.Information, Message = "{Name} runs as process {Pid}")]
    public static partial void Started(ILogger logger, string name, int pid);

    [LoggerMessage(EventId = 7002, Level = LogLevel.Warning, Message = "{Name} is gone ({End}); it starts again in {DelayMs} ms")]
    public static partial void Restarting(ILogger logger, string name, string end, long delayMs);

    [LoggerMessage(EventId = 7003, Level = LogLevel.Error, Message = "{Name} is gone ({End}) and stays down (--no-restart)")]
    public static partial void StaysDown(ILogger logger, string name, string end);

    [LoggerMessage(EventId = 7004, Level = LogLevel.Error, Message = "{Name} cannot be started: {Program}: {Reason}")]
    public static partial void StartFailed(ILogger logger, string name, string program, string reason);

    [LoggerMessage(EventId = 7005, Level = LogLevel.Information, Message = "{Name} is ready")]
    public static partial void Ready(ILogger logger, string name);

    [LoggerMessage(EventId = 7006, Level = LogLevel.Warning, Message = "{Name} is not ready after {Seconds} s: {Reason}")]
    public static partial void NotReady(ILogger logger, string name, int seconds, string reason);

    [LoggerMessage(EventId = 7007, Level = LogLevel.Information, Message = "Stopping {Count} processes, {First} first")]
    public static partial void Stopping(ILogger logger, int count, string first);

    [LoggerMessage(EventId = 7008, Level = LogLevel.Warning, Message = "{Name} did not stop in time and is killed")]
    public static partial void Killed(ILogger logger, string name);

    [LoggerMessage(EventId = 7009, Level = LogLevel.Warning, Message = "{Name} (process {Pid}) of a host that was killed still runs; waiting for it to stop")]
    public static partial void Orphan(ILogger logger, string name, int pid);

    [LoggerMessage(EventId = 7010, Level = LogLevel.Information, Message = "Everything has stopped")]
    public static partial void Stopped(ILogger logger);

    [LoggerMessage(EventId = 7011, Level = LogLevel.Information, Message = "{Name} has no command: start it yourself on port {Port}")]
    public static partial void External(ILogger logger, string name, int port);
}
