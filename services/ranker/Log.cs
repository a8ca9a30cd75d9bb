namespace Mesh.Ranker;

internal static partial class Log
{
    [LoggerMessage(EventId = 4001, Level = LogLevel.Information, Message = "Score weights changed to {Weights}")]
    public static partial void WeightsChanged(ILogger logger, string weights);

    [LoggerMessage(EventId = 4002, Level = LogLevel.Error, Message = "New score weights refused, the ones before stay: {Faults}")]
    public static partial void WeightsRefused(ILogger logger, string faults);
}
