using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// <c>pubsub.sqlite</c>: a durable broker in one file. At-least-once, consumer groups, shared by any number of processes of one
/// machine. A publish that has returned survives kill -9 and power cuts. What a crash leaves leased is taken over as soon as
/// another process of the machine sees the owner dead, or when the lease ends.
/// </summary>
internal sealed class SqliteBroker : IBroker
{
    private const string InsertMessage =
        "INSERT INTO messages(topic, data, content_type, cloud_event, metadata, published_at, expires_at) VALUES($0, $1, $2, $3, $4, $5, $6)";

    private readonly TimeProvider _clock;
    private readonly SqliteWriter _writer;
    private readonly SqliteHousekeeping _housekeeping;
    private readonly ConcurrentDictionary<string, TopicSignal> _signals = new(StringComparer.Ordinal);
    private readonly long _owner;

    public SqliteBroker(SqliteBrokerOptions options, TimeProvider clock, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        _clock = clock;
        SqliteConnection connection;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(options.Path)!);
            connection = SqliteSchema.Open(options.Path);
            SqliteSchema.Prepare(connection, options.Path);
        }
        catch (Exception exception) when (exception is SqliteException or IOException or UnauthorizedAccessException)
        {
            throw new BrokerException($"Component {options.Component}: {options.Path} cannot be opened as a message store: {exception.Message}", exception);
        }

        using (var statements = new SqliteStatements(connection))
        {
            _owner = SqliteOwners.Register(statements);
            SqliteOwners.ReleaseDead(statements, _owner);
        }

        _housekeeping = new SqliteHousekeeping(options, _owner, clock, logger, WakeAll);
        _writer = new SqliteWriter(connection, options.Component, _housekeeping.RunIfDue, WakeAll, error => Log.HousekeepingFailed(logger, options.Path, error));
    }

    public SqliteBrokerOptions Options { get; }

    public bool ExpiresMessages => true;

    public IReadOnlyCollection<QueueDepth> Depths => _housekeeping.Depths;

    /// <summary>Transactions committed by this process.</summary>
    public long Commits => _writer.Commits;

    public async Task<IReadOnlyDictionary<int, string>> PublishAsync(
        string topic, IReadOnlyList<OutgoingMessage> messages, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (_housekeeping.IsFull)
        {
            throw new BrokerException($"{Options.Component} holds more than {Options.BytesMax} bytes that consumers have not taken; it takes no more until they have. Raise maxMegabytes, or see why they are behind.");
        }

        long now = Now();
        await _writer.EnqueueAsync(
            statements =>
            {
                foreach (OutgoingMessage message in messages) Insert(statements, topic, message, now);
                return true;
            },
            messages.Count, durable: true, cancellation);
        Signal(topic).Pulse(messages.Count);
        return new Dictionary<int, string>();
    }

    public async Task<IBrokerConsumer> SubscribeAsync(string topic, ConsumerGroup group, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(group);
        var consumer = new SqliteConsumer(this, topic, group, SqliteSchema.Open(Options.Path), _clock);
        await consumer.JoinAsync(cancellation);
        return consumer;
    }

    public async ValueTask DisposeAsync()
    {
        await _writer.EnqueueAsync(statements => SqliteOwners.Unregister(statements, _owner), 1, durable: false, CancellationToken.None);
        await _writer.DisposeAsync();
    }

    internal long Owner => _owner;

    internal SqliteHousekeeping Housekeeping => _housekeeping;

    internal long Now() => _clock.GetUtcNow().ToUnixTimeMilliseconds();

    internal TopicSignal Signal(string topic) => _signals.GetOrAdd(topic, static _ => new TopicSignal());

    /// <summary>Runs bookkeeping of a consumer: leases, acknowledgements.</summary>
    internal Task<T> WriteAsync<T>(Func<SqliteStatements, T> work, int cost, CancellationToken cancellation) =>
        _writer.EnqueueAsync(work, cost, durable: false, cancellation);

    private static void Insert(SqliteStatements statements, string topic, OutgoingMessage message, long now)
    {
        byte[] data = MemoryMarshal.TryGetArray(message.Data, out ArraySegment<byte> segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length
            ? segment.Array
            : message.Data.ToArray();
        string? metadata = message.Metadata is { Count: > 0 } ? JsonSerializer.Serialize(message.Metadata) : null;
        object? expiresAt = message.TimeToLive is { } ttl ? now + (long)Math.Min(ttl.TotalMilliseconds, long.MaxValue / 4) : null;
        statements.Run(InsertMessage, topic, data, message.ContentType, message.IsCloudEvent ? 1 : 0, metadata, now, expiresAt);
    }

    private void WakeAll()
    {
        foreach (TopicSignal signal in _signals.Values) signal.Pulse();
    }
}
