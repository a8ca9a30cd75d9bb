using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Mesh.Hosting;

/// <summary>
/// Stops this service when the host that started it is gone, killed hosts included: <c>MESH_PARENT_PID</c> names it.
/// Nothing is left running after <c>kill -9</c> of the host.
/// </summary>
internal sealed partial class ParentWatch(IHostApplicationLifetime lifetime, ILogger<ParentWatch> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("MESH_PARENT_PID"), NumberStyles.None, CultureInfo.InvariantCulture, out int pid)) return;

        try
        {
            using Process parent = Process.GetProcessById(pid);
            await parent.WaitForExitAsync(stoppingToken);
        }
        catch (ArgumentException)
        {
            // The parent was gone before this service looked: the same as having just left.
        }

        ParentGone(logger, pid);
        lifetime.StopApplication();
    }

    [LoggerMessage(EventId = 10, Level = LogLevel.Warning, Message = "The host (process {Pid}) is gone; this service stops too")]
    private static partial void ParentGone(ILogger logger, int pid);
}
