namespace Mesh.Sidecar.PubSub;

/// <summary>What pub/sub logs. Event ids 6100-6199.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 6100, Level = LogLevel.Information, Message = "App {AppId} is subscribed to {Topics}")]
    public static partial void Subscribed(ILogger logger, string appId, string topics);

    [LoggerMessage(EventId = 6101, Level = LogLevel.Error, Message = "Subscription of {AppId} to topic '{Topic}' on pubsub '{PubSub}' ({Source}) is left out: {Fault}")]
    public static partial void SubscriptionRefused(ILogger logger, string appId, string topic, string pubSub, string source, string fault);

    [LoggerMessage(EventId = 6102, Level = LogLevel.Warning, Message = "GET /dapr/subscribe of {AppId} cannot be used, next try in {Pause}: {Fault}")]
    public static partial void SubscriptionsUnreadable(ILogger logger, string appId, TimeSpan pause, string fault);

    [LoggerMessage(EventId = 6103, Level = LogLevel.Warning, Message = "App {AppId} does not answer; deliveries pause until it listens again")]
    public static partial void AppGone(ILogger logger, string appId);

    [LoggerMessage(EventId = 6104, Level = LogLevel.Information, Message = "App {AppId} listens again; deliveries go on")]
    public static partial void AppBack(ILogger logger, string appId);

    [LoggerMessage(EventId = 6105, Level = LogLevel.Warning, Message = "Delivery of {Count} message(s) of {PubSub}/{Topic} to {AppId} failed and will be repeated: {Fault}")]
    public static partial void DeliveryFailed(ILogger logger, int count, string pubSub, string topic, string appId, string fault);

    [LoggerMessage(EventId = 6106, Level = LogLevel.Warning, Message = "Message {Id} of {PubSub}/{Topic} is dropped for {AppId}: {Reason}")]
    public static partial void Dropped(ILogger logger, long id, string pubSub, string topic, string appId, string reason);

    [LoggerMessage(EventId = 6107, Level = LogLevel.Warning, Message = "Message {Id} of {PubSub}/{Topic} goes to dead-letter topic {DeadLetterTopic}: {Reason}")]
    public static partial void DeadLettered(ILogger logger, long id, string pubSub, string topic, string deadLetterTopic, string reason);

    [LoggerMessage(EventId = 6108, Level = LogLevel.Error, Message = "Dead-letter topic {DeadLetterTopic} of {PubSub}/{Topic} cannot be written, the messages stay: {Fault}")]
    public static partial void DeadLetterFailed(ILogger logger, string deadLetterTopic, string pubSub, string topic, string fault);

    [LoggerMessage(EventId = 6109, Level = LogLevel.Error, Message = "Consuming {PubSub}/{Topic} for {AppId} failed, next try in {Pause}")]
    public static partial void ConsumeFailed(ILogger logger, string pubSub, string topic, string appId, TimeSpan pause, Exception exception);

    [LoggerMessage(EventId = 6110, Level = LogLevel.Error, Message = "The app answered 404 on {Route} for {PubSub}/{Topic}: the subscription leads nowhere")]
    public static partial void RouteMissing(ILogger logger, string route, string pubSub, string topic);

    [LoggerMessage(EventId = 6111, Level = LogLevel.Warning, Message = "{AppId} did not finish {Count} deliveries within {Limit}; they will be delivered again")]
    public static partial void DrainTimedOut(ILogger logger, string appId, int count, TimeSpan limit);

    [LoggerMessage(EventId = 6112, Level = LogLevel.Warning, Message = "Topic '{Topic}' on '{PubSub}' is subscribed by {AppId} itself and by {Source}; the app's own subscription counts")]
    public static partial void SubscriptionTwice(ILogger logger, string topic, string pubSub, string appId, string source);

    [LoggerMessage(EventId = 6150, Level = LogLevel.Error, Message = "Housekeeping of {Path} failed; it is tried again")]
    public static partial void HousekeepingFailed(ILogger logger, string path, Exception exception);

    [LoggerMessage(EventId = 6151, Level = LogLevel.Information, Message = "{Component}: {Count} consumer group(s) of replicas idle for {Idle} are forgotten")]
    public static partial void GroupsForgotten(ILogger logger, string component, int count, TimeSpan idle);

    [LoggerMessage(EventId = 6152, Level = LogLevel.Error,
        Message = "{Component}: {Count} messages older than maxAge {AgeMax} are deleted; {Unacknowledged} deliveries of them were still due")]
    public static partial void MessagesAged(ILogger logger, string component, int count, long unacknowledged, TimeSpan ageMax);

    [LoggerMessage(EventId = 6153, Level = LogLevel.Error,
        Message = "{Component}: {Bytes} bytes exceed maxMegabytes ({BytesMax} bytes); publishing is refused until consumers have caught up, or the limit is raised")]
    public static partial void Full(ILogger logger, string component, long bytes, long bytesMax);

    [LoggerMessage(EventId = 6154, Level = LogLevel.Information, Message = "{Component}: {Bytes} of {BytesMax} bytes; publishing goes on")]
    public static partial void RoomAgain(ILogger logger, string component, long bytes, long bytesMax);
}
