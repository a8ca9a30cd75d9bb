using System.ComponentModel;
using System.Diagnostics;

namespace Mesh.Benchmarks;

/// <summary>A module of training/, run by a Python that has PyTorch.</summary>
internal sealed class TorchScript
{
    private readonly string _python;

    private TorchScript(string python) => _python = python;

    /// <summary>The repository's training folder.</summary>
    public static string Folder { get; } = Path.Combine(RepositoryRoot(), "training");

    /// <summary>The named interpreter, or the first of python3 and Debian's that can import torch.</summary>
    /// <exception cref="ArgumentException">None can; the message says what to install.</exception>
    public static async Task<TorchScript> FindAsync(string python, CancellationToken cancellation)
    {
        string[] candidates = python.Length > 0 ? [python] : ["python3", "/usr/bin/python3"];
        foreach (string candidate in candidates)
        {
            if (await RunAsync(candidate, ["-c", "import torch, numpy"], null, quiet: true, cancellation) == 0) return new TorchScript(candidate);
        }

        throw new ArgumentException($"No Python with PyTorch among {string.Join(", ", candidates)}: install it with "
            + "'apt-get install python3-torch python3-numpy libopenblas0-openmp' or 'pip install torch numpy', or name an interpreter by --python.");
    }

    /// <summary>Runs a module with its output shown as it comes.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public async Task RunAsync(string module, IEnumerable<string> arguments, CancellationToken cancellation)
    {
        int code = await RunAsync(_python, ["-W", "ignore", "-m", module, .. arguments], Folder, quiet: false, cancellation);
        if (code != 0) throw new InvalidOperationException($"{_python} -m {module} ended with {code}; its messages are above.");
    }

    private static async Task<int> RunAsync(string python, IEnumerable<string> arguments, string? folder, bool quiet, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(python, arguments) { WorkingDirectory = folder ?? "", RedirectStandardOutput = quiet, RedirectStandardError = quiet };
        try
        {
            using Process process = Process.Start(start)!;
            try
            {
                if (quiet) await Task.WhenAll(process.StandardOutput.ReadToEndAsync(cancellation), process.StandardError.ReadToEndAsync(cancellation));
                await process.WaitForExitAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }

            return process.ExitCode;
        }
        catch (Win32Exception)
        {
            return -1; // no such program
        }
    }

    private static string RepositoryRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Mesh.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"Mesh.sln is in no folder above {AppContext.BaseDirectory}: benchmarks run from a checkout.");
    }
}
