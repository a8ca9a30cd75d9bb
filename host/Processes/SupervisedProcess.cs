using System.ComponentModel;
using System.Diagnostics;

namespace Mesh.Host.Processes;

/// <summary>What a supervised process is and how its starts and ends are told.</summary>
internal sealed record SupervisedProcessOptions
{
    /// <summary>Name in logs and before every line of output.</summary>
    public required string Name { get; init; }

    /// <summary>Made anew for every start.</summary>
    public required Func<ProcessStartInfo> StartInfo { get; init; }

    public bool Restart { get; init; } = true;

    /// <summary>Called after every start, with the process id, on the supervising task.</summary>
    public Action<int> Started { get; init; } = _ => { };

    /// <summary>Called after every end that was not asked for, with the exit code; null = it could not be started.</summary>
    public Action<int?> Died { get; init; } = _ => { };
}

/// <summary>
/// One child process, kept running: output is read to the end and prefixed, a death is logged with its exit code and
/// followed by a new start after <see cref="RestartBackoff"/>. Exactly one process at a time; none after <see cref="StopAsync"/>.
/// </summary>
internal sealed class SupervisedProcess(
    SupervisedProcessOptions options, PrefixedOutput output, TimeProvider clock, ILogger logger) : IAsyncDisposable
{
    // A grandchild may hold the pipes open after the child's end; its last words are not worth a hang.
    private static readonly TimeSpan DrainPatience = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stopping = new(); // without a timer: holds nothing to dispose of
    private readonly RestartBackoff _backoff = new();
    private readonly Lock _gate = new(); // guards _current against a start that races with a stop
    private Process? _current;
    private Task _supervision = Task.CompletedTask;

    public string Name => options.Name;

    /// <summary>Process id while it runs.</summary>
    public int? Pid
    {
        get
        {
            lock (_gate) return _current?.Id;
        }
    }

    public void Start() => _supervision = SuperviseAsync();

    /// <summary>Lets the process run and starts no other after it: the whole mesh is stopping.</summary>
    public void StartNoMore() => _stopping.Cancel();

    /// <summary>Asks the process to stop and waits; ends supervision either way.</summary>
    /// <returns>Whether nothing of it runs any more; where not, <see cref="Kill"/> is next.</returns>
    public async Task<bool> StopAsync(TimeSpan patience)
    {
        await _stopping.CancelAsync();
        bool asked = true;
        lock (_gate)
        {
            if (_current is { } process) asked = ProcessSignals.AskToStop(process);
        }

        if (!asked) return _supervision.IsCompleted;
        try
        {
            await _supervision.WaitAsync(patience, clock);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Kills the process and what it started, now, and supervises no more.</summary>
    public void Kill()
    {
        _stopping.Cancel();
        lock (_gate)
        {
            if (_current is { } process) ProcessSignals.KillNow(process);
        }
    }

    /// <summary>Kills it and waits for its end. May be called again.</summary>
    public async ValueTask DisposeAsync()
    {
        Kill();
        await _supervision;
    }

    private async Task SuperviseAsync()
    {
        await Task.Yield(); // the first start must not run on the caller
        while (!_stopping.IsCancellationRequested)
        {
            long started = clock.GetTimestamp();
            int? exitCode = await RunOnceAsync();
            if (_stopping.IsCancellationRequested) break;

            string end = exitCode is { } code ? ProcessSignals.Describe(code) : "it could not be started";
            options.Died(exitCode);
            if (!options.Restart)
            {
                Log.StaysDown(logger, Name, end);
                break;
            }

            TimeSpan delay = _backoff.Next(clock.GetElapsedTime(started));
            Log.Restarting(logger, Name, end, (long)delay.TotalMilliseconds);
            await Task.Delay(delay, clock, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<int?> RunOnceAsync()
    {
        using Process process = new() { StartInfo = options.StartInfo() };
        process.StartInfo.RedirectStandardOutput = process.StartInfo.RedirectStandardError = true;
        process.StartInfo.RedirectStandardInput = true;
        process.StartInfo.UseShellExecute = false;
        try
        {
            lock (_gate)
            {
                if (_stopping.IsCancellationRequested) return null;
                process.Start();
                _current = process;
            }
        }
        catch (Exception exception) when (exception is Win32Exception or InvalidOperationException)
        {
            Log.StartFailed(logger, Name, process.StartInfo.FileName, exception.Message);
            return null;
        }

        process.StandardInput.Close();
        options.Started(process.Id);
        Task reading = Task.WhenAll(Read(process.StandardOutput), Read(process.StandardError));
        await process.WaitForExitAsync(CancellationToken.None);
        int exitCode = process.ExitCode;
        lock (_gate) _current = null;
        await reading.WaitAsync(DrainPatience, clock).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return exitCode;
    }

    private Task Read(StreamReader reader) => BoundedLines.ReadAsync(reader, line => output.WriteLine(Name, line));
}
