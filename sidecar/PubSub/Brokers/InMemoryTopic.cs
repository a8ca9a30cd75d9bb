namespace Mesh.Sidecar.PubSub.Brokers;

/// <summary>
/// One topic in memory: a queue of messages that some group has not been handed yet, and per group a cursor and the messages
/// handed out but not settled. Ids count up by one, so that a message's place in the queue is its id less the first id.
/// </summary>
internal sealed class InMemoryTopic(string name, InMemoryOptions options)
{
    private const long BytesMax = 16 * 1024 * 1024; // of one batch: it is one request to the app
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Group> _groups = new(StringComparer.Ordinal);
    private readonly List<OutgoingMessage> _messages = [];
    private int _head;          // index in _messages of the oldest message still held
    private long _firstId = 1;  // id of that message

    /// <summary>Pulsed when messages arrive or become due again.</summary>
    public TopicSignal Arrived { get; } = new();

    /// <summary>Pulsed when room was made.</summary>
    public TopicSignal Drained { get; } = new();

    private long NextId => _firstId + (_messages.Count - _head);

    public bool TryAppend(IReadOnlyList<OutgoingMessage> messages, out string fault)
    {
        fault = "";
        lock (_gate)
        {
            if (_groups.Count > 0 && Fullest() is { } group && Waiting(group.Value) + messages.Count > options.MessagesMax)
            {
                fault = $"Topic {name} is full: {Waiting(group.Value)} messages wait for consumer group {group.Key}, maxMessages is {options.MessagesMax}. "
                    + "Publish slower, consume faster or raise maxMessages.";
                return false;
            }

            _messages.AddRange(messages);
            Trim();
        }

        Arrived.Pulse(messages.Count);
        return true;
    }

    public void Join(ConsumerGroup group)
    {
        lock (_gate)
        {
            if (!_groups.TryGetValue(group.Name, out Group? joined))
            {
                joined = new Group { Cursor = group.StartsAtLatest ? NextId - 1 : _firstId - 1 };
                _groups.Add(group.Name, joined);
            }

            joined.Consumers++;
        }
    }

    public void Leave(ConsumerGroup group, IEnumerable<long> held, DateTimeOffset now)
    {
        lock (_gate)
        {
            Group left = _groups[group.Name];
            foreach (long id in held)
            {
                if (left.Pending.TryGetValue(id, out Pending? pending)) pending.Release(now);
            }

            left.Consumers--;
            if (left.Consumers == 0 && group.Ephemeral) _groups.Remove(group.Name);
            Trim();
        }

        Arrived.Pulse();
        Drained.Pulse();
    }

    /// <summary>Hands out up to <paramref name="messagesMax"/> messages; with none, returns how long until one is due again.</summary>
    public TimeSpan Take(string group, int messagesMax, DateTimeOffset now, List<ReceivedMessage> into)
    {
        lock (_gate)
        {
            Group taker = _groups[group];
            int before = into.Count;
            foreach ((long id, Pending pending) in taker.Pending)
            {
                if (into.Count - before == messagesMax) break;
                if (pending.DueAt is not { } due || due > now) continue;
                pending.DueAt = null;
                into.Add(Hand(id, pending.Message, ++pending.Attempts));
            }

            long bytes = 0;
            while (into.Count - before < messagesMax && taker.Cursor + 1 < NextId && bytes < BytesMax)
            {
                long id = ++taker.Cursor;
                OutgoingMessage message = _messages[_head + (int)(id - _firstId)];
                taker.Pending.Add(id, new Pending { Message = message, Attempts = 1 });
                into.Add(Hand(id, message, 1));
                bytes += message.Data.Length;
            }

            if (into.Count > before) Trim();
            DateTimeOffset? next = taker.Pending.Values.Min(pending => pending.DueAt);
            return next is { } at ? at - now : Timeout.InfiniteTimeSpan;
        }
    }

    public void Settle(ConsumerGroup group, IEnumerable<ReceivedMessage> messages, Settlement settlement, DateTimeOffset now)
    {
        lock (_gate)
        {
            if (!_groups.TryGetValue(group.Name, out Group? settled)) return;
            foreach (ReceivedMessage message in messages)
            {
                if (settlement == Settlement.Acknowledge) settled.Pending.Remove(message.Id);
                else if (settled.Pending.TryGetValue(message.Id, out Pending? pending))
                {
                    if (settlement == Settlement.Release) pending.Release(now);
                    else pending.DueAt = now + group.RedeliverInterval;
                }
            }
        }

        if (settlement == Settlement.Acknowledge) Drained.Pulse();
        else Arrived.Pulse();
    }

    public IReadOnlyList<QueueDepth> Depths()
    {
        lock (_gate) return [.. _groups.Select(group => new QueueDepth(name, group.Key, Waiting(group.Value)))];
    }

    private static ReceivedMessage Hand(long id, OutgoingMessage message, int attempt) =>
        new(id, message.Data, message.ContentType, message.IsCloudEvent, message.Metadata, attempt);

    private KeyValuePair<string, Group>? Fullest() => _groups.MaxBy(group => Waiting(group.Value));

    private long Waiting(Group group) => NextId - 1 - group.Cursor + group.Pending.Count;

    // A message that every group has been handed lives on in their pending lists only. Without groups the newest are kept for
    // whoever subscribes first.
    private void Trim()
    {
        long keepFrom = _groups.Count > 0
            ? _groups.Values.Min(group => group.Cursor) + 1
            : Math.Max(_firstId, NextId - options.RetainedMax);
        int drop = (int)(keepFrom - _firstId);
        if (drop <= 0) return;
        for (int i = 0; i < drop; i++) _messages[_head + i] = null!;
        _head += drop;
        _firstId = keepFrom;
        if (_head <= _messages.Count / 2) return;
        _messages.RemoveRange(0, _head);
        _head = 0;
    }

    private sealed class Group
    {
        public long Cursor { get; set; }

        public int Consumers { get; set; }

        public SortedDictionary<long, Pending> Pending { get; } = [];
    }

    private sealed class Pending
    {
        public required OutgoingMessage Message { get; init; }

        public int Attempts { get; set; }

        /// <summary>When it may be handed out again; null while a consumer holds it.</summary>
        public DateTimeOffset? DueAt { get; set; }

        public void Release(DateTimeOffset now)
        {
            Attempts--;
            DueAt = now;
        }
    }
}
