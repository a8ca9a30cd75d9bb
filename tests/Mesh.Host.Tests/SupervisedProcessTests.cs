using System.Diagnostics;
using System.Threading.Channels;
using Mesh.Host.Processes;
using Microsoft.Extensions.Logging;

namespace Mesh.Host.Tests;

/// <summary>Supervision of tiny shell commands; on Windows, which has no sh, only what needs none is tested.</summary>
public sealed class SupervisedProcessTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    private readonly StringWriter _text = new();
    private readonly RecordingLogger _log = new();

    [UnixFact]
    public async Task A_process_that_dies_is_started_again_and_its_exit_code_is_told()
    {
        var starts = Channel.CreateUnbounded<int>();
        await using SupervisedProcess process = Supervise("exit 3", pid => starts.Writer.TryWrite(pid));

        process.Start();

        int first = await NextAsync(starts);
        int second = await NextAsync(starts);
        Assert.NotEqual(first, second);
        Assert.Contains(_log.Lines, line => line.Contains("exit code 3", StringComparison.Ordinal) && line.Contains("again in 200 ms", StringComparison.Ordinal));
    }

    [UnixFact]
    public async Task A_killed_process_is_started_again()
    {
        var starts = Channel.CreateUnbounded<int>();
        await using SupervisedProcess process = Supervise("exec sleep 600", pid => starts.Writer.TryWrite(pid));
        process.Start();
        int first = await NextAsync(starts);

        using (Process running = Process.GetProcessById(first)) running.Kill();

        Assert.NotEqual(first, await NextAsync(starts));
        Assert.Contains(_log.Lines, line => line.Contains("killed (signal 9)", StringComparison.Ordinal));
    }

    [UnixFact]
    public async Task Stop_asks_with_SIGTERM_and_returns_when_the_process_is_gone()
    {
        var starts = Channel.CreateUnbounded<int>();
        await using SupervisedProcess process = Supervise("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", pid => starts.Writer.TryWrite(pid));
        process.Start();
        int pid = await NextAsync(starts);
        await UntilAsync(() => Written().Contains("up", StringComparison.Ordinal));

        Assert.True(await process.StopAsync(Timeout));

        Assert.False(IsRunning(pid));
        Assert.Null(process.Pid);
        Assert.Contains("bye", Written(), StringComparison.Ordinal);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("starts again", StringComparison.Ordinal));
    }

    [UnixFact]
    public async Task A_process_that_will_not_stop_is_reported_and_disposing_kills_it_with_its_children()
    {
        var starts = Channel.CreateUnbounded<int>();
        SupervisedProcess process = Supervise("trap '' TERM; sleep 600 & echo child $!; wait; wait", pid => starts.Writer.TryWrite(pid));
        process.Start();
        int pid = await NextAsync(starts);
        await UntilAsync(() => Written().Contains("child ", StringComparison.Ordinal));
        int child = int.Parse(Written().Split("child ")[1].Split('\n')[0], null);

        Assert.False(await process.StopAsync(TimeSpan.FromMilliseconds(200)));
        await process.DisposeAsync();
        await process.DisposeAsync(); // the run's own clean-up comes after a kill

        Assert.False(IsRunning(pid));
        await UntilAsync(() => !IsRunning(child));
    }

    [UnixFact]
    public async Task Without_restart_a_dead_process_stays_down()
    {
        var deaths = Channel.CreateUnbounded<int?>();
        await using SupervisedProcess process = Supervise("exit 1", _ => { }, restart: false, died: code => deaths.Writer.TryWrite(code));

        process.Start();

        using var timeout = new CancellationTokenSource(Timeout);
        Assert.Equal(1, await deaths.Reader.ReadAsync(timeout.Token));
        Assert.True(await process.StopAsync(Timeout)); // the supervision itself has ended
        Assert.Contains(_log.Lines, line => line.Contains("stays down", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_program_that_is_not_there_is_tried_again_and_named()
    {
        var deaths = Channel.CreateUnbounded<int?>();
        await using var process = new SupervisedProcess(
            new SupervisedProcessOptions { Name = "app", StartInfo = () => new ProcessStartInfo("no-such-program-feedmesh"), Died = code => deaths.Writer.TryWrite(code) },
            Output(), TimeProvider.System, _log);

        process.Start();

        using var timeout = new CancellationTokenSource(Timeout);
        Assert.Null(await deaths.Reader.ReadAsync(timeout.Token));
        Assert.Null(await deaths.Reader.ReadAsync(timeout.Token));
        Assert.Contains(_log.Lines, line => line.Contains("no-such-program-feedmesh", StringComparison.Ordinal));
    }

    [UnixFact]
    public async Task Every_line_of_both_streams_carries_the_name()
    {
        var deaths = Channel.CreateUnbounded<int?>();
        await using SupervisedProcess process = Supervise("echo one; echo two >&2; printf three", _ => { }, restart: false, died: code => deaths.Writer.TryWrite(code));

        process.Start();
        using var timeout = new CancellationTokenSource(Timeout);
        await deaths.Reader.ReadAsync(timeout.Token);

        Assert.Equal(["app    | one", "app    | three", "app    | two"], Written().Split('\n', StringSplitOptions.RemoveEmptyEntries).Order());
    }

    private SupervisedProcess Supervise(string script, Action<int> started, bool restart = true, Action<int?>? died = null) => new(
        new SupervisedProcessOptions
        {
            Name = "app",
            StartInfo = () => new ProcessStartInfo("/bin/sh", ["-c", script]),
            Started = started,
            Restart = restart,
            Died = died ?? (_ => { }),
        },
        Output(), TimeProvider.System, _log);

    private PrefixedOutput Output() => new(TextWriter.Synchronized(_text), colours: false, nameWidth: 6);

    private string Written()
    {
        lock (_text) return _text.ToString();
    }

    private static async Task<int> NextAsync(Channel<int> starts)
    {
        using var timeout = new CancellationTokenSource(Timeout);
        return await starts.Reader.ReadAsync(timeout.Token);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < Timeout, "The condition did not come true in time.");
            await Task.Delay(20);
        }
    }

    private static bool IsRunning(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private sealed class RecordingLogger : ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines) return [.. _lines];
            }
        }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines) _lines.Add(formatter(state, exception));
        }
    }
}

/// <summary>A test that needs a POSIX shell and signals.</summary>
public sealed class UnixFactAttribute : FactAttribute
{
    public UnixFactAttribute()
    {
        if (OperatingSystem.IsWindows()) Skip = "Needs /bin/sh and POSIX signals.";
    }
}
