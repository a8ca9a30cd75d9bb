namespace Mesh.IndexUpdater;

internal static partial class Log
{
    [LoggerMessage(EventId = 5001, Level = LogLevel.Information, Message = "Shard {Shard} is loaded: {Items} items at sequence {Sequence}, from snapshot '{Snapshot}' and {Batches} batches after it; model {Model}")]
    public static partial void ShardLoaded(ILogger logger, uint shard, int items, ulong sequence, string snapshot, ulong batches, string model);

    [LoggerMessage(EventId = 5002, Level = LogLevel.Warning, Message = "Snapshot {Snapshot} of shard {Shard} cannot be read; the one before it is tried")]
    public static partial void SnapshotUnreadable(ILogger logger, string snapshot, uint shard, Exception exception);

    [LoggerMessage(EventId = 5003, Level = LogLevel.Warning, Message = "Shard {Shard} has no log in the state store but a snapshot {Snapshot}: the log starts again after sequence {Sequence}")]
    public static partial void LogLost(ILogger logger, uint shard, string snapshot, ulong sequence);

    [LoggerMessage(EventId = 5004, Level = LogLevel.Information, Message = "Snapshot {Snapshot} of shard {Shard} is published: {Items} items at sequence {Sequence}, {Bytes} bytes, {Seconds:0.00} s")]
    public static partial void SnapshotPublished(ILogger logger, string snapshot, uint shard, long items, ulong sequence, long bytes, double seconds);

    [LoggerMessage(EventId = 5005, Level = LogLevel.Error, Message = "Snapshot {Snapshot} of shard {Shard} failed; the one before it stays")]
    public static partial void SnapshotFailed(ILogger logger, string snapshot, uint shard, Exception exception);

    [LoggerMessage(EventId = 5006, Level = LogLevel.Information, Message = "Codebooks of shard {Shard} are fitted on {Rows} of {Items} items: {Left:P1} of the variance is left after the last level")]
    public static partial void CodebooksFitted(ILogger logger, uint shard, int rows, int items, double left);

    [LoggerMessage(EventId = 5007, Level = LogLevel.Warning, Message = "Event {EventId} on topic {Topic} can never be applied and is dropped: {Fault}")]
    public static partial void EventDropped(ILogger logger, string eventId, string topic, string fault);

    [LoggerMessage(EventId = 5008, Level = LogLevel.Warning, Message = "{Events} events on topic {Topic} could not be applied and will be delivered again")]
    public static partial void ApplyFailed(ILogger logger, int events, string topic, Exception exception);

    [LoggerMessage(EventId = 5009, Level = LogLevel.Warning, Message = "The log of shard {Shard} was written by somebody else; it is read again")]
    public static partial void LogMoved(ILogger logger, uint shard);

    [LoggerMessage(EventId = 5010, Level = LogLevel.Warning, Message = "Snapshot '{Snapshot}' is of model '{Other}'; {Items} items are encoded again with {Current}")]
    public static partial void EncoderChanged(ILogger logger, string snapshot, string other, int items, string current);

    [LoggerMessage(EventId = 5011, Level = LogLevel.Error, Message = "Shard {Shard} was on model {Model}, which cannot be opened any more: it goes over to {Default} at once")]
    public static partial void LiveModelLost(ILogger logger, uint shard, string model, string @default, Exception exception);

    [LoggerMessage(EventId = 5012, Level = LogLevel.Error, Message = "Model {Model} was chosen for shard {Shard} and cannot be opened: {Reason} {Live} stays live. Every tick tries again; those that fail are only counted (mesh.index_updater.model.refused)")]
    public static partial void ChosenModelRefused(ILogger logger, uint shard, string model, string live, string reason);

    [LoggerMessage(EventId = 5013, Level = LogLevel.Information, Message = "Shard {Shard} goes over to model {Model}: {Items} items are encoded for it")]
    public static partial void ModelSwitchBegun(ILogger logger, uint shard, string model, int items);

    [LoggerMessage(EventId = 5018, Level = LogLevel.Information, Message = "Shard {Shard} goes over to model {Model}: {Left} items are left to encode")]
    public static partial void ModelSwitchProgress(ILogger logger, uint shard, string model, int left);

    [LoggerMessage(EventId = 5014, Level = LogLevel.Information, Message = "Shard {Shard} is on model {Model}: {Items} items encoded and published as one snapshot in {Seconds:0.0} s")]
    public static partial void ModelSwitched(ILogger logger, uint shard, string model, int items, double seconds);

    [LoggerMessage(EventId = 5015, Level = LogLevel.Error, Message = "Shard {Shard} could not go over to model {Model}; the live one stays. A later tick goes on with what is encoded")]
    public static partial void ModelSwitchFailed(ILogger logger, uint shard, string model, Exception exception);

    [LoggerMessage(EventId = 5016, Level = LogLevel.Error, Message = "Model {Model} cannot go live and its message {Outcome}: {Reason}")]
    public static partial void ModelRefused(ILogger logger, string model, string outcome, string reason);

    [LoggerMessage(EventId = 5019, Level = LogLevel.Error,
        Message = "Model {Model} gives {Refused} of {Items} items a vector that is not finite or codes that its books do not have, the first is {ItemId}: they are kept without, for followers and trending")]
    public static partial void ItemsNotEncoded(ILogger logger, string model, int refused, int items, string itemId);

    [LoggerMessage(EventId = 5017, Level = LogLevel.Warning, Message = "No model is used: {Reason}. Items are encoded by {Encoder}, and codebooks are fitted here")]
    public static partial void NoModel(ILogger logger, string reason, string encoder);

    [LoggerMessage(EventId = 5020, Level = LogLevel.Critical, Message = "index-updater ends, and events wait in the broker: {Fault}")]
    public static partial void ShardsRefused(ILogger logger, string fault);
}
