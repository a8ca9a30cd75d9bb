using System.Globalization;

namespace Mesh.Host.Processes;

/// <summary>
/// Logs of the host and of the sidecars inside it, on the same output as the children's and in their single-line form.
/// A category "app:Category" is shown under that app's name.
/// </summary>
internal sealed class PrefixedLoggerProvider(PrefixedOutput output, TimeProvider clock, string name = "host") : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new PrefixedLogger(output, clock, name, categoryName);

    public void Dispose()
    {
    }

    private sealed class PrefixedLogger(PrefixedOutput output, TimeProvider clock, string name, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            string level = logLevel switch
            {
                LogLevel.Trace => "trce",
                LogLevel.Debug => "dbug",
                LogLevel.Information => "info",
                LogLevel.Warning => "warn",
                LogLevel.Error => "fail",
                _ => "crit",
            };
            string time = clock.GetUtcNow().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);
            string text = exception is null ? formatter(state, null) : $"{formatter(state, exception)} {exception}";
            output.WriteLine(name, $"{time} {level}: {category}[{eventId.Id}] {text.ReplaceLineEndings(" ")}");
        }
    }
}
