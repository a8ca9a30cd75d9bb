using System.Diagnostics;
using System.Text;

namespace Mesh.Training.Tests;

/// <summary>The Python that trains: Debian's, which has torch where it is installed.</summary>
internal static class Python
{
    public const string Executable = "/usr/bin/python3";

    /// <summary>Why training cannot run here; null where it can.</summary>
    public static string? Missing { get; } = FindMissing();

    /// <summary>Runs python in training/ and returns its exit code and all it said. It is killed when the time is up.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(TimeSpan timeout, params string[] arguments)
    {
        var start = new ProcessStartInfo(Executable, arguments)
        {
            WorkingDirectory = TrainingFolder(), RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        var output = new StringBuilder();
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(output, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var limit = new CancellationTokenSource(timeout);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"python3 {string.Join(' ', arguments)} was not done after {timeout}. It said:\n{Said(output)}");
        }

        return (process.ExitCode, Said(output));
    }

    private static void Append(StringBuilder output, string? line)
    {
        if (line is null) return;
        lock (output) output.AppendLine(line);
    }

    private static string Said(StringBuilder output)
    {
        lock (output) return output.ToString();
    }

    private static string TrainingFolder()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "training", "feedmesh", "smoke.py"))) return Path.Combine(folder.FullName, "training");
        }

        throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} holds training/feedmesh/smoke.py.");
    }

    private static string? FindMissing()
    {
        if (!File.Exists(Executable)) return $"{Executable} is missing: apt-get install python3-torch python3-numpy libopenblas0-openmp.";
        using Process process = Process.Start(new ProcessStartInfo(Executable, ["-c", "import torch, numpy"]) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? null
            : $"{Executable} has no torch or numpy ({error.TrimEnd().Split('\n')[^1]}): apt-get install python3-torch python3-numpy libopenblas0-openmp.";
    }
}

/// <summary>A test that trains; skipped, with the reason and what to install, where torch is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class TorchFactAttribute : FactAttribute
{
    public TorchFactAttribute() => Skip = Python.Missing;
}
