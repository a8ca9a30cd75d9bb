namespace Mesh.Ranker;

internal static partial class Log
{
    [LoggerMessage(EventId = 4001, Level = LogLevel.Information, Message = "Score weights changed to {Weights}")]
    public static partial void WeightsChanged(ILogger logger, string weights);

    [LoggerMessage(EventId = 4002, Level = LogLevel.Error, Message = "New score weights refused, the ones before stay: {Faults}")]
    public static partial void WeightsRefused(ILogger logger, string faults);

    [LoggerMessage(EventId = 4003, Level = LogLevel.Information,
        Message = "Model {ModelVersion} of {Path} is loaded and warm after {Milliseconds:0} ms")]
    public static partial void ModelLoaded(ILogger logger, string modelVersion, string path, double milliseconds);

    [LoggerMessage(EventId = 4004, Level = LogLevel.Information, Message = "Model {ModelVersion} of {Path} is live")]
    public static partial void ModelLive(ILogger logger, string modelVersion, string path);

    [LoggerMessage(EventId = 4005, Level = LogLevel.Error, Message = "Model {ModelVersion} of {Path} refused, {LiveVersion} stays live: {Reason}")]
    public static partial void ModelRefused(ILogger logger, string modelVersion, string path, string liveVersion, string reason);

    [LoggerMessage(EventId = 4006, Level = LogLevel.Error,
        Message = "Change {EventId} of the model can never be applied and is dropped: {Fault}")]
    public static partial void ChangeRefused(ILogger logger, string eventId, string fault);

    [LoggerMessage(EventId = 4007, Level = LogLevel.Warning,
        Message = "No package under the models' root says version {ModelVersion}; the heuristic scores what is of it")]
    public static partial void VersionMissing(ILogger logger, string modelVersion);

    [LoggerMessage(EventId = 4008, Level = LogLevel.Error, Message = "Looking for model {ModelVersion} failed")]
    public static partial void SearchFailed(ILogger logger, string modelVersion, Exception exception);

    [LoggerMessage(EventId = 4009, Level = LogLevel.Warning, Message = "There is no model package; the heuristic scores")]
    public static partial void NoModel(ILogger logger);

    [LoggerMessage(EventId = 4010, Level = LogLevel.Error,
        Message = "Model {ModelVersion} failed repeatedly and is left alone for a while; the heuristic scores")]
    public static partial void BreakerOpened(ILogger logger, string modelVersion, Exception exception);

    [LoggerMessage(EventId = 4011, Level = LogLevel.Warning,
        Message = "Model {ModelVersion} gives a candidate other bits in another batch here; Inference:IntraOpThreads = 1 on the CPU does not")]
    public static partial void BatchesDiffer(ILogger logger, string modelVersion);

    [LoggerMessage(EventId = 4012, Level = LogLevel.Warning,
        Message = "A run of model {ModelVersion} failed; others that fail in the next 10 s are only counted (mesh.ranker.fallbacks)")]
    public static partial void RunFailed(ILogger logger, string modelVersion, Exception exception);
}
