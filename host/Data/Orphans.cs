using System.Diagnostics;
using Mesh.Host.Processes;

namespace Mesh.Host.Data;

/// <summary>
/// Processes that a killed host left behind. Services notice by themselves and stop (Mesh.Hosting's ParentWatch); a daprd does
/// not. Nothing new starts on the data before all of them are gone: two writers must not meet.
/// </summary>
internal static class Orphans
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(12); // a service may take 10 s to stop
    private static readonly TimeSpan SameProcess = TimeSpan.FromSeconds(2);

    public static async Task AwaitGoneAsync(RunState leftover, TimeProvider clock, ILogger logger, CancellationToken cancellation)
    {
        foreach (RunApp app in leftover.Apps)
        {
            await AwaitGoneAsync(app.AppId, app.Pid, app.ProcessStartedAt, askFirst: false, clock, logger, cancellation);
            await AwaitGoneAsync($"daprd of {app.AppId}", app.DaprdPid, app.DaprdStartedAt, askFirst: true, clock, logger, cancellation);
        }
    }

    /// <summary>When the operating system started a process; null where it is gone.</summary>
    public static DateTimeOffset? StartOf(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return process.StartTime.ToUniversalTime();
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static async Task AwaitGoneAsync(
        string name, int pid, DateTimeOffset? startedAt, bool askFirst, TimeProvider clock, ILogger logger, CancellationToken cancellation)
    {
        // The same id with another start time is somebody else's process.
        if (pid == 0 || startedAt is null || StartOf(pid) is not { } actual || (actual - startedAt.Value).Duration() > SameProcess) return;

        try
        {
            using Process process = Process.GetProcessById(pid);
            Log.Orphan(logger, name, pid);
            if (askFirst) ProcessSignals.AskToStop(process);
            try
            {
                await process.WaitForExitAsync(cancellation).WaitAsync(Patience, clock, cancellation);
            }
            catch (TimeoutException)
            {
                Log.Killed(logger, name);
                ProcessSignals.KillNow(process);
            }
        }
        catch (ArgumentException)
        {
            // It went between the two looks.
        }
    }
}
