namespace Mesh.Gateway;

/// <summary>Everything the gateway logs. Event ids 1000-1999.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 1000, Level = LogLevel.Information, Message = "Pipeline {File} loaded: {Stages}")]
    public static partial void PipelineLoaded(ILogger logger, string file, string stages);

    [LoggerMessage(EventId = 1001, Level = LogLevel.Debug, Message = "Stage {Stage} served without: {Reason}")]
    public static partial void ServedWithout(ILogger logger, string stage, string reason);

    [LoggerMessage(EventId = 1002, Level = LogLevel.Error, Message = "Stage {Stage} threw something no dependency explains")]
    public static partial void StageBroken(ILogger logger, string stage, Exception exception);

    [LoggerMessage(EventId = 1003, Level = LogLevel.Debug, Message = "Side effect {Stage} of request {RequestId} failed: {Reason}")]
    public static partial void SideEffectFailed(ILogger logger, string stage, string requestId, string reason);

    [LoggerMessage(EventId = 1004, Level = LogLevel.Warning, Message = "{Left} served pages still waited for their side effects when the gateway stopped; they are lost")]
    public static partial void SideEffectsLost(ILogger logger, int left);

    [LoggerMessage(EventId = 1005, Level = LogLevel.Debug, Message = "{Topic}: the broker did not take {Count} messages: {Reason}")]
    public static partial void PublishFailed(ILogger logger, string topic, int count, string reason);

    [LoggerMessage(EventId = 1006, Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    public static partial void RequestFailed(ILogger logger, string method, string path, Exception exception);

    [LoggerMessage(EventId = 1007, Level = LogLevel.Information, Message = "{Stage} works again after {Failures} requests served without it")]
    public static partial void StageRecovered(ILogger logger, string stage, long failures);

    [LoggerMessage(EventId = 1008, Level = LogLevel.Warning, Message = "{Stage} fails; feeds are served without it until it is back: {Reason}")]
    public static partial void StageFails(ILogger logger, string stage, string reason);
}
