using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Mesh.Host.Processes;

/// <summary>Asks a process to stop, and says how one ended.</summary>
internal static class ProcessSignals
{
    private const int SigTerm = 15;

    /// <summary>
    /// SIGTERM on Linux and macOS. Windows has no such request for a console process without a console of its own: there the
    /// caller's patience is skipped and the process is killed, which costs nothing acknowledged.
    /// </summary>
    /// <returns>Whether the process was asked.</returns>
    public static bool AskToStop(Process process)
    {
        try
        {
            if (process.HasExited) return true;
            if (OperatingSystem.IsWindows()) return process.CloseMainWindow();
            return Kill(process.Id, SigTerm) == 0;
        }
        catch (InvalidOperationException)
        {
            return true; // it ended between the two calls
        }
    }

    /// <summary>Kills it and everything it started.</summary>
    public static void KillNow(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }
    }

    /// <summary>An exit code in words: shells and .NET give 128 + n for signal n.</summary>
    public static string Describe(int exitCode) => exitCode switch
    {
        128 + 9 when !OperatingSystem.IsWindows() => "killed (signal 9)",
        128 + 15 when !OperatingSystem.IsWindows() => "stopped by signal 15",
        > 128 and < 160 when !OperatingSystem.IsWindows() => $"ended by signal {exitCode - 128}",
        _ => $"exit code {exitCode}",
    };

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int pid, int signal);
}
