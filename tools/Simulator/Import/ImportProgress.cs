using System.Globalization;
using Spectre.Console;

namespace Mesh.Simulator.Import;

/// <summary>Is told how an import goes. Called from several threads.</summary>
public interface IImportProgress
{
    /// <summary>A kind of row begins; null = nobody knows how many there are.</summary>
    void Begin(string rows, int? total);

    void Advance(int rows);
}

/// <summary>A line for every tenth of a phase, or for every 10,000 rows where the total is not known. For pipes and logs.</summary>
public sealed class PlainProgress(Action<string> writeLine) : IImportProgress
{
    private const int RowsPerLine = 10_000;
    private readonly Lock _gate = new();
    private string _name = "";
    private int? _total;
    private long _done;
    private long _next;

    public void Begin(string rows, int? total)
    {
        lock (_gate)
        {
            (_name, _total, _done) = (rows, total, 0);
            _next = Step;
        }
    }

    public void Advance(int rows)
    {
        lock (_gate)
        {
            _done += rows;
            if (_done < _next && _done != _total) return;
            writeLine(string.Create(CultureInfo.InvariantCulture, $"{_name}: {_done:N0}{(_total is { } total ? $" of {total:N0}" : "")}"));
            while (_next <= _done) _next += Step;
        }
    }

    private long Step => Math.Max(1, (_total ?? RowsPerLine * 10) / 10);
}

/// <summary>A bar for each phase, on a terminal.</summary>
public static class BarProgress
{
    /// <summary>Runs an import with bars drawn on a console.</summary>
    public static Task<T> RunAsync<T>(IAnsiConsole console, Func<IImportProgress, Task<T>> import)
    {
        ArgumentNullException.ThrowIfNull(console);
        return console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new SpinnerColumn())
            .StartAsync(context => import(new Bars(context)));
    }

    private sealed class Bars(ProgressContext context) : IImportProgress
    {
        private ProgressTask? _current;

        public void Begin(string rows, int? total)
        {
            Finish();
            ProgressTask task = context.AddTask(rows, maxValue: Math.Max(total ?? 1, 1));
            task.IsIndeterminate = total is null;
            _current = task;
        }

        public void Advance(int rows) => _current?.Increment(rows);

        private void Finish()
        {
            if (_current is null) return;
            _current.IsIndeterminate = false;
            _current.Value = _current.MaxValue;
            _current.StopTask();
        }
    }
}
