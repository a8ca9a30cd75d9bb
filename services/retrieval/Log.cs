namespace Mesh.Retrieval;

/// <summary>Log lines of this service: event ids 3000-3999.</summary>
internal static partial class Log
{
    [LoggerMessage(EventId = 3001, Level = LogLevel.Information, Message = "Index swapped in ({Cause}): version {IndexVersion}, sequence {Sequence}, {Items} items of model '{Model}' {With} user tower")]
    public static partial void IndexSwapped(ILogger logger, string cause, string indexVersion, ulong sequence, int items, string model, string with);

    [LoggerMessage(EventId = 3002, Level = LogLevel.Warning, Message = "index-updater gives no deltas: {Reason}. Trying again with back-off; serving goes on with what is held")]
    public static partial void FeedLost(ILogger logger, string reason);

    [LoggerMessage(EventId = 3003, Level = LogLevel.Information, Message = "index-updater gives deltas again")]
    public static partial void FeedReached(ILogger logger);

    [LoggerMessage(EventId = 3004, Level = LogLevel.Information, Message = "Deltas {First} to {Last} never arrived and were fetched from index-updater")]
    public static partial void GapRepaired(ILogger logger, ulong first, ulong last);

    [LoggerMessage(EventId = 3005, Level = LogLevel.Warning, Message = "The new snapshot is not loaded: {Reason}. The index in use stays; the next probe tries again")]
    public static partial void SnapshotNotLoaded(ILogger logger, string reason);

    [LoggerMessage(EventId = 3006, Level = LogLevel.Error, Message = "A delta batch from {First} with {Count} deltas is not consecutive and is dropped; the log will be asked instead")]
    public static partial void BatchDropped(ILogger logger, ulong first, int count);

    [LoggerMessage(EventId = 3007, Level = LogLevel.Error, Message = "The delta log ends at {Head}, before this index at {Sequence}: it was lost. Loading the index anew")]
    public static partial void LogLost(ILogger logger, ulong head, ulong sequence);

    [LoggerMessage(EventId = 3008, Level = LogLevel.Warning, Message = "{Count} items were refused since the last look and cannot be retrieved; the last was {Last}")]
    public static partial void RowsRefused(ILogger logger, int count, string last);

    [LoggerMessage(EventId = 3010, Level = LogLevel.Information, Message = "Snapshot {IndexVersion} at {Sequence} is of the model in use: the index holds it already and takes its name")]
    public static partial void SnapshotAdopted(ILogger logger, string indexVersion, ulong sequence);

    [LoggerMessage(EventId = 3011, Level = LogLevel.Error, Message = "The user tower of model {Model} failed; the queries are the means of the history. Others that fail in the next 10 s are only counted (mesh.retrieval.tower.fallbacks)")]
    public static partial void TowerFailed(ILogger logger, string model, Exception exception);

    [LoggerMessage(EventId = 3012, Level = LogLevel.Error, Message = "Snapshot {IndexVersion} cannot be read: {Reason}. The one before is tried")]
    public static partial void SnapshotPassedOver(ILogger logger, string indexVersion, string reason);

    [LoggerMessage(EventId = 3013, Level = LogLevel.Information, Message = "Value formulas changed: two-tower ranks by '{TwoTower}', semantic-id by '{SemanticId}'")]
    public static partial void ValueFormulasChanged(ILogger logger, string twoTower, string semanticId);

    [LoggerMessage(EventId = 3014, Level = LogLevel.Error, Message = "New value formulas refused: {Faults}. Those before stay: two-tower ranks by '{TwoTower}', semantic-id by '{SemanticId}'")]
    public static partial void ValueFormulasRefused(ILogger logger, string faults, string twoTower, string semanticId);

    [LoggerMessage(EventId = 3015, Level = LogLevel.Information, Message = "Snapshot {IndexVersion} loaded, {Items} items, in milliseconds: {Times}")]
    public static partial void SnapshotLoaded(ILogger logger, string indexVersion, int items, Index.LoadTimes times);

    [LoggerMessage(EventId = 3016, Level = LogLevel.Warning, Message = "Over {DeltasMax} deltas came while the index was compacted (CompactionDeltasMax). It is begun again; until it ends dead rows take room")]
    public static partial void CompactionOutrun(ILogger logger, int deltasMax);

    [LoggerMessage(EventId = 3009, Level = LogLevel.Error, Message = "Source {Source} failed; the answer goes out without it")]
    public static partial void SourceFailed(ILogger logger, string source, Exception exception);
}
