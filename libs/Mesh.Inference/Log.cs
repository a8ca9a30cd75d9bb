using Microsoft.Extensions.Logging;

namespace Mesh.Inference;

internal static partial class Log
{
    [LoggerMessage(EventId = 8001, Level = LogLevel.Warning, Message = "Execution provider {Provider} cannot be used, running on the CPU: {Reason}")]
    public static partial void ProviderMissing(ILogger logger, string provider, string reason);

    [LoggerMessage(EventId = 8002, Level = LogLevel.Information,
        Message = "Model {Version} loaded from {Folder} in {ElapsedMs:F0} ms: {Graphs} on {Provider}, largest difference to its check {Difference:E1}")]
    public static partial void Loaded(ILogger logger, string version, string folder, double elapsedMs, string graphs, string provider, float difference);
}
