using System.Collections.Concurrent;

namespace Mesh.Sidecar.PubSub.Brokers;

/// <summary>
/// <c>pubsub.in-memory</c>: topics and groups in this process, with the delivery semantics of the durable broker and none of
/// its durability. Bounded: a topic that is full makes publishers wait, then fails them.
/// </summary>
internal sealed class InMemoryBroker(InMemoryOptions options, TimeProvider clock) : IBroker
{
    private readonly ConcurrentDictionary<string, InMemoryTopic> _topics = new(StringComparer.Ordinal);

    // The runtime marks and checks expiry, as for Dapr's own in-memory component.
    public bool ExpiresMessages => false;

    public IReadOnlyCollection<QueueDepth> Depths => [.. _topics.Values.SelectMany(topic => topic.Depths())];

    public async Task<IReadOnlyDictionary<int, string>> PublishAsync(
        string topic, IReadOnlyList<OutgoingMessage> messages, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(messages);
        InMemoryTopic target = Topic(topic);
        long started = clock.GetTimestamp();
        while (true)
        {
            long drained = target.Drained.Version;
            if (target.TryAppend(messages, out string fault)) return new Dictionary<int, string>();

            TimeSpan left = options.PublishTimeout - clock.GetElapsedTime(started);
            if (left <= TimeSpan.Zero) throw new BrokerException(fault);
            await target.Drained.WaitAsync(drained, left, clock, cancellation);
        }
    }

    public Task<IBrokerConsumer> SubscribeAsync(string topic, ConsumerGroup group, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(group);
        return Task.FromResult<IBrokerConsumer>(new InMemoryConsumer(Topic(topic), group, clock));
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private InMemoryTopic Topic(string name) => _topics.GetOrAdd(name, static (name, options) => new InMemoryTopic(name, options), options);
}

/// <summary>Limits of <c>pubsub.in-memory</c>.</summary>
/// <param name="MessagesMax">Most messages of a topic that its slowest group may have in front of it (metadata <c>maxMessages</c>).</param>
/// <param name="RetainedMax">Newest messages kept of a topic that nobody has subscribed to (<c>retainedMessages</c>).</param>
/// <param name="PublishTimeout">How long a publisher waits for room (<c>publishTimeout</c>).</param>
internal sealed record InMemoryOptions(int MessagesMax, int RetainedMax, TimeSpan PublishTimeout);

internal sealed class InMemoryConsumer : IBrokerConsumer
{
    private readonly InMemoryTopic _topic;
    private readonly ConsumerGroup _group;
    private readonly TimeProvider _clock;
    private readonly HashSet<long> _held = [];

    public InMemoryConsumer(InMemoryTopic topic, ConsumerGroup group, TimeProvider clock)
    {
        _topic = topic;
        _group = group;
        _clock = clock;
        topic.Join(group);
    }

    public async Task<IReadOnlyList<ReceivedMessage>> ReceiveAsync(int messagesMax, TimeSpan linger, CancellationToken cancellation)
    {
        var received = new List<ReceivedMessage>();
        long firstAt = 0;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            long seen = _topic.Arrived.Version;
            TimeSpan nextDue = _topic.Take(_group.Name, messagesMax - received.Count, _clock.GetUtcNow(), received);
            if (received.Count > 0 && firstAt == 0) firstAt = _clock.GetTimestamp();
            TimeSpan wait = received.Count == 0 ? nextDue : linger - _clock.GetElapsedTime(firstAt);
            if (received.Count == messagesMax || (received.Count > 0 && wait <= TimeSpan.Zero)) break;

            try
            {
                await _topic.Arrived.WaitAsync(seen, wait, _clock, cancellation);
            }
            catch (OperationCanceledException)
            {
                _topic.Settle(_group, received, Settlement.Release, _clock.GetUtcNow());
                throw;
            }
        }

        foreach (ReceivedMessage message in received) _held.Add(message.Id);
        return received;
    }

    public Task SettleAsync(IReadOnlyList<ReceivedMessage> messages, Settlement settlement)
    {
        ArgumentNullException.ThrowIfNull(messages);
        foreach (ReceivedMessage message in messages) _held.Remove(message.Id);
        _topic.Settle(_group, messages, settlement, _clock.GetUtcNow());
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        _topic.Leave(_group, _held, _clock.GetUtcNow());
        _held.Clear();
        return ValueTask.CompletedTask;
    }
}
