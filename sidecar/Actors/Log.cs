namespace Mesh.Sidecar.Actors;

/// <summary>Actors: events 6250-6299.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 6250, Level = LogLevel.Information, Message = "App {AppId} hosts actor types {Types}")]
    public static partial void Hosting(ILogger logger, string appId, string types);

    [LoggerMessage(EventId = 6251, Level = LogLevel.Warning, Message = "App {AppId} asks for actor reentrancy; it is not supported here and stays off")]
    public static partial void NoReentrancy(ILogger logger, string appId);

    [LoggerMessage(EventId = 6252, Level = LogLevel.Error, Message = "GET /dapr/config of app {AppId} cannot be read; it hosts no actors: {Reason}")]
    public static partial void BadConfiguration(ILogger logger, string appId, string reason);

    [LoggerMessage(EventId = 6253, Level = LogLevel.Warning, Message = "App {AppId} is gone; its {Count} active actors are forgotten until it is back")]
    public static partial void AppLost(ILogger logger, string appId, int count);

    [LoggerMessage(EventId = 6254, Level = LogLevel.Debug, Message = "Actor {Actor} deactivated")]
    public static partial void Deactivated(ILogger logger, ActorKey actor);

    [LoggerMessage(EventId = 6255, Level = LogLevel.Warning, Message = "Actor {Actor} was deactivated, but its app failed to do so: {Reason}")]
    public static partial void DeactivationFailed(ILogger logger, ActorKey actor, string reason);

    [LoggerMessage(EventId = 6256, Level = LogLevel.Information, Message = "{Count} actors active, more than {Max}: deactivating the longest idle")]
    public static partial void TooManyActive(ILogger logger, int count, int max);

    [LoggerMessage(EventId = 6257, Level = LogLevel.Warning, Message = "Nobody waits any more for a turn of actor {Actor}, and it did not end within {Limit}; its call is cut")]
    public static partial void TurnCut(ILogger logger, ActorKey actor, TimeSpan limit);

    [LoggerMessage(EventId = 6260, Level = LogLevel.Information, Message = "{Count} reminders of app {AppId} found, {Overdue} of them overdue")]
    public static partial void RemindersLoaded(ILogger logger, int count, string appId, int overdue);

    [LoggerMessage(EventId = 6261, Level = LogLevel.Error, Message = "Reminder {Name} of actor {Actor} failed {Attempts} times, this tick is given up: {Reason}")]
    public static partial void ReminderGivenUp(ILogger logger, string name, ActorKey actor, int attempts, string reason);

    [LoggerMessage(EventId = 6262, Level = LogLevel.Warning, Message = "Reminder {Name} of actor {Actor} not delivered, tried again in {Pause}: {Reason}")]
    public static partial void ReminderPostponed(ILogger logger, string name, ActorKey actor, TimeSpan pause, string reason);

    [LoggerMessage(EventId = 6263, Level = LogLevel.Error, Message = "Stored reminder {Key} cannot be read and is left alone: {Reason}")]
    public static partial void ReminderUnreadable(ILogger logger, string key, string reason);

    [LoggerMessage(EventId = 6264, Level = LogLevel.Error, Message = "Timer {Name} of actor {Actor} failed: {Reason}")]
    public static partial void TimerFailed(ILogger logger, string name, ActorKey actor, string reason);

    [LoggerMessage(EventId = 6265, Level = LogLevel.Error, Message = "Actors of app {AppId} cannot be hosted yet, tried again in {Pause}: {Reason}")]
    public static partial void HostingFailed(ILogger logger, string appId, TimeSpan pause, string reason);
}
