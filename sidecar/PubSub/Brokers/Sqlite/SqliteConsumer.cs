using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>
/// One consumer of a group. Taking messages is a lease written by the broker's writer; their bodies are read on a connection of
/// its own, so that reading a thousand of them does not hold up publishers. The lease is renewed while messages are held.
/// </summary>
internal sealed class SqliteConsumer : IBrokerConsumer
{
    private static readonly TimeSpan PauseMax = TimeSpan.FromMinutes(1);
    private readonly SqliteBroker _broker;
    private readonly string _topic;
    private readonly ConsumerGroup _group;
    private readonly SqliteConnection _connection;
    private readonly SqliteStatements _reader;
    private readonly TimeProvider _clock;
    private readonly TopicSignal _signal;
    private readonly HashSet<long> _held = [];
    private readonly CancellationTokenSource _closing = new();
    private Task _renewing = Task.CompletedTask;
    private long _groupId;
    private long _lease; // of the messages taken last; unique over all consumers of the file

    public SqliteConsumer(SqliteBroker broker, string topic, ConsumerGroup group, SqliteConnection connection, TimeProvider clock)
    {
        _broker = broker;
        _topic = topic;
        _group = group;
        _connection = connection;
        _reader = new SqliteStatements(connection);
        _clock = clock;
        _signal = broker.Signal(topic);
    }

    public async Task JoinAsync(CancellationToken cancellation)
    {
        _groupId = await _broker.WriteAsync(statements => SqliteLeases.Join(statements, _topic, _group, _broker.Now()), 1, cancellation);
        _broker.Housekeeping.Track(_groupId);
        _renewing = RenewAsync(_closing.Token);
    }

    public async Task<IReadOnlyList<ReceivedMessage>> ReceiveAsync(int messagesMax, TimeSpan linger, CancellationToken cancellation)
    {
        while (true)
        {
            long seen = _signal.Version;
            Taken taken = await TakeAsync(messagesMax, again: false, cancellation);
            if (taken.Count == 0)
            {
                TimeSpan pause = taken.NextDueAt is { } at ? TimeSpan.FromMilliseconds(Math.Max(1, at - _broker.Now())) : PauseMax;
                await _signal.WaitAsync(seen, pause < PauseMax ? pause : PauseMax, _clock, cancellation);
                continue;
            }

            if (taken.Count < messagesMax && linger > TimeSpan.Zero)
            {
                await LingerAsync(messagesMax - taken.Count, linger, cancellation);
                await TakeAsync(messagesMax - taken.Count, again: true, CancellationToken.None);
            }

            IReadOnlyList<ReceivedMessage> messages = await ReadHeldAsync();
            if (messages.Count > 0) return messages;
        }
    }

    public async Task SettleAsync(IReadOnlyList<ReceivedMessage> messages, Settlement settlement)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages.Count == 0) return;
        long now = _broker.Now();
        long[] ids = [.. messages.Select(message => message.Id).Order()];
        bool all;
        lock (_held)
        {
            all = ids.Length == _held.Count;
            _held.ExceptWith(ids);
        }

        long lease = _lease;
        long dueAt = settlement == Settlement.Release ? 0 : now + (long)_group.RedeliverInterval.TotalMilliseconds;
        await _broker.WriteAsync(
            statements =>
            {
                SqliteLeases.Settle(statements, _groupId, lease, ids, all, settlement, dueAt);
                return true;
            },
            all ? 1 : ids.Length, CancellationToken.None);
        if (settlement != Settlement.Acknowledge) _signal.Pulse();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _renewing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _broker.Housekeeping.Untrack(_groupId);
        try
        {
            if (HoldsAny()) await _broker.WriteAsync(statements => SqliteLeases.Release(statements, _groupId, _lease), 1, CancellationToken.None);
        }
        catch (BrokerException)
        {
            // The broker is closed already and has released everything this process held.
            lock (_held) _held.Clear();
        }

        _signal.Pulse();
        _reader.Dispose();
        await _connection.DisposeAsync();
        _closing.Dispose();
    }

    private async Task<Taken> TakeAsync(int messagesMax, bool again, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (!again) _lease = BitConverter.ToInt64(Guid.NewGuid().ToByteArray());
        long now = _broker.Now();
        long deadline = now + (long)_group.ProcessingTimeout.TotalMilliseconds;
        Taken taken = await _broker.WriteAsync(
            statements => SqliteLeases.Take(statements, _topic, _group, _groupId, _lease, _broker.Owner, messagesMax, now, deadline),
            messagesMax / 8, CancellationToken.None);
        if (taken.GroupId != _groupId)
        {
            _broker.Housekeeping.Untrack(_groupId);
            _groupId = taken.GroupId;
            _broker.Housekeeping.Track(_groupId);
        }

        return taken;
    }

    // Waits until enough was published in this process to fill the batch, or the linger is over. Publishes of other processes
    // are not counted, only found when it is over.
    private async Task LingerAsync(int missing, TimeSpan linger, CancellationToken cancellation)
    {
        long started = _clock.GetTimestamp();
        long published = _signal.Published;
        while (!cancellation.IsCancellationRequested && _signal.Published - published < missing)
        {
            long seen = _signal.Version;
            TimeSpan left = linger - _clock.GetElapsedTime(started);
            if (left <= TimeSpan.Zero) return;
            if (_signal.Published - published >= missing) return;
            try
            {
                await _signal.WaitAsync(seen, left, _clock, cancellation);
            }
            catch (OperationCanceledException)
            {
                return; // what is held already is handed over or released by the caller's disposal
            }
        }
    }

    private async Task<IReadOnlyList<ReceivedMessage>> ReadHeldAsync()
    {
        var messages = new List<ReceivedMessage>();
        var expired = new List<long>();
        long now = _broker.Now();
        using (SqliteDataReader reader = _reader.Query(
            """
            SELECT p.seq, m.data, m.content_type, m.cloud_event, m.metadata, p.attempts, m.expires_at
            FROM pending p LEFT JOIN messages m ON m.seq = p.seq WHERE p.group_id = $0 AND p.lease = $1 ORDER BY p.seq
            """, _groupId, _lease))
        {
            while (reader.Read())
            {
                if (reader.IsDBNull(1) || (!reader.IsDBNull(6) && reader.GetInt64(6) <= now)) expired.Add(reader.GetInt64(0));
                else messages.Add(Read(reader));
            }
        }

        lock (_held)
        {
            _held.Clear();
            foreach (ReceivedMessage message in messages) _held.Add(message.Id);
        }

        if (expired.Count > 0)
        {
            long lease = _lease;
            await _broker.WriteAsync(
                statements =>
                {
                    SqliteLeases.Settle(statements, _groupId, lease, [.. expired], all: false, Settlement.Acknowledge, 0);
                    return true;
                },
                expired.Count, CancellationToken.None);
        }

        return messages;
    }

    private static ReceivedMessage Read(SqliteDataReader reader) => new(
        reader.GetInt64(0), (byte[])reader.GetValue(1), reader.GetString(2), reader.GetInt64(3) != 0,
        reader.IsDBNull(4) ? null : JsonSerializer.Deserialize<Dictionary<string, string>>(reader.GetString(4)), reader.GetInt32(5));

    private async Task RenewAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(_group.ProcessingTimeout / 3, _clock);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            if (!HoldsAny()) continue;
            long lease = _lease;
            long deadline = _broker.Now() + (long)_group.ProcessingTimeout.TotalMilliseconds;
            try
            {
                await _broker.WriteAsync(statements => SqliteLeases.Renew(statements, _groupId, lease, deadline), 1, cancellation);
            }
            catch (BrokerException)
            {
                // A full disk or a lock held for long: the next tick tries again, and there are others before the lease ends.
            }
        }
    }

    private bool HoldsAny()
    {
        lock (_held) return _held.Count > 0;
    }
}
