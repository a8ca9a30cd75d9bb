using System.Collections.Concurrent;

namespace Mesh.Gateway.Pipeline;

/// <summary>
/// Logs a failing stage when it starts to fail and when it works again, not once a request: at a thousand requests a
/// second an outage must not flood the log. The counts per request are in the metrics.
/// </summary>
internal sealed class StageHealth(ILogger<StageHealth> logger)
{
    private readonly ConcurrentDictionary<string, long> _failures = new(StringComparer.Ordinal); // bounded by the stages of the plan

    public void Failed(string stage, string reason, Exception? bug)
    {
        long failures = _failures.AddOrUpdate(stage, 1, (_, count) => count + 1);
        if (failures > 1)
        {
            Log.ServedWithout(logger, stage, reason);
            return;
        }

        if (bug is not null) Log.StageBroken(logger, stage, bug);
        Log.StageFails(logger, stage, reason);
    }

    public void Succeeded(string stage)
    {
        if (!_failures.IsEmpty && _failures.TryRemove(stage, out long failures)) Log.StageRecovered(logger, stage, failures);
    }
}
