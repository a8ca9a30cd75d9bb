using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Mesh.Testing;

/// <summary>What a service logged, by event id.</summary>
public sealed class Logs : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<(int Id, string Message)> _entries = new();

    public string[] Of(int id) => [.. _entries.Where(entry => entry.Id == id).Select(entry => entry.Message)];

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _entries.Enqueue((eventId.Id, formatter(state, exception)));

    public void Dispose()
    {
    }
}
