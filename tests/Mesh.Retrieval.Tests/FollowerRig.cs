using System.Collections.Concurrent;
using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Tests;

/// <summary>A follower over a fake log, started and stopped with the test.</summary>
internal sealed class FollowerRig : IAsyncDisposable
{
    private readonly ServiceProvider _services;

    public FollowerRig(FakeLog? log = null, RetrievalOptions? options = null)
    {
        Log = log ?? new FakeLog();
        Options = options ?? new RetrievalOptions { ProbeIntervalMs = 20, BackoffMaxMs = 20 };
        _services = new ServiceCollection()
            .AddMetrics()
            .AddLogging(logging => logging.AddProvider(Lines))
            .AddSingleton(TimeProvider.System)
            .AddSingleton<IOptions<RetrievalOptions>>(Microsoft.Extensions.Options.Options.Create(Options))
            .AddSingleton<IDeltaFeed>(Log)
            .AddSingleton<Mesh.Snapshots.ISnapshotBlobs>(Log.Blobs)
            .AddSingleton<IndexHolder>().AddSingleton<FollowerState>().AddSingleton<RetrievalMetrics>().AddSingleton<RefusedRows>()
            .AddSingleton<IOptions<InferenceOptions>>(Microsoft.Extensions.Options.Options.Create(new InferenceOptions())).AddSingleton<InferenceRuntime>()
            .AddSingleton<SnapshotLoader>().AddSingleton<IndexFollower>()
            .BuildServiceProvider();
    }

    public FakeLog Log { get; }

    public RetrievalOptions Options { get; }

    public LogLines Lines { get; } = new();

    public IndexHolder Holder => _services.GetRequiredService<IndexHolder>();

    public FollowerState State => _services.GetRequiredService<FollowerState>();

    public SnapshotLoader Loader => _services.GetRequiredService<SnapshotLoader>();

    public IndexFollower Follower => _services.GetRequiredService<IndexFollower>();

    public LiveIndex Current => Holder.Current ?? throw new InvalidOperationException("No index is in use yet.");

    public async Task<FollowerRig> StartAsync()
    {
        await Follower.StartAsync(CancellationToken.None);
        return this;
    }

    public async Task<FollowerRig> StartReadyAsync()
    {
        await StartAsync();
        await Eventually.True(() => State.Started, "the follower starts");
        return this;
    }

    public Task DeliverAsync(params IndexDelta[] deltas) => Follower.Receive([Make.Batch(deltas)], CancellationToken.None);

    public Task CaughtUpAsync() => Eventually.True(() => Holder.Current?.Sequence == Log.Head, $"the index reaches {Log.Head}");

    public async ValueTask DisposeAsync()
    {
        await Follower.StopAsync(CancellationToken.None);
        await _services.DisposeAsync();
    }
}

/// <summary>Waits for a condition with a limit, and names what was waited for.</summary>
internal static class Eventually
{
    public static async Task True(Func<bool> condition, string what, int timeoutMs = 15_000)
    {
        using var limit = new CancellationTokenSource(timeoutMs);
        while (!condition())
        {
            if (limit.IsCancellationRequested) throw new TimeoutException($"After {timeoutMs} ms it is still not so that {what}.");
            await Task.Delay(2);
        }
    }
}

/// <summary>Keeps log lines for tests to read.</summary>
internal sealed class LogLines : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<(int Id, string Text)> _lines = new();

    public int Count(int eventId) => _lines.Count(line => line.Id == eventId);

    public string Text => string.Join('\n', _lines.Select(line => line.Text));

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue((eventId.Id, formatter(state, exception)));

    public void Dispose()
    {
    }
}
