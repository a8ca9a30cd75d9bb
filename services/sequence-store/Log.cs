namespace Mesh.SequenceStore;

internal static partial class Log
{
    [LoggerMessage(EventId = 2001, Level = LogLevel.Warning, Message = "Event {EventId} on topic {Topic} can never be stored and is dropped: {Fault}")]
    public static partial void EventDropped(ILogger logger, string eventId, string topic, string fault);

    [LoggerMessage(EventId = 2002, Level = LogLevel.Warning, Message = "{Events} events of one user on topic {Topic} could not be written and will be delivered again")]
    public static partial void WriteFailed(ILogger logger, int events, string topic, Exception exception);

    [LoggerMessage(EventId = 2003, Level = LogLevel.Information, Message = "A user was erased")]
    public static partial void UserErased(ILogger logger);
}
