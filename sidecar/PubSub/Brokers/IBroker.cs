namespace Mesh.Sidecar.PubSub.Brokers;

/// <summary>A message on its way to the broker.</summary>
/// <param name="Data">CloudEvent JSON, or opaque bytes where <paramref name="IsCloudEvent"/> is false.</param>
/// <param name="IsCloudEvent">Data is known to be a JSON object with CloudEvent attributes: subscribers need not parse it again.</param>
/// <param name="TimeToLive">Set only where <see cref="IBroker.ExpiresMessages"/>; null = as long as the broker keeps messages.</param>
public sealed record OutgoingMessage(
    ReadOnlyMemory<byte> Data, string ContentType, bool IsCloudEvent, IReadOnlyDictionary<string, string>? Metadata = null, TimeSpan? TimeToLive = null);

/// <summary>A message handed to a consumer.</summary>
/// <param name="Id">Unique within the broker and stable over redelivery; ascending in publish order within a topic.</param>
/// <param name="Attempt">How often it was handed out, this time included; survives restarts where the broker is durable.</param>
public sealed record ReceivedMessage(
    long Id, ReadOnlyMemory<byte> Data, string ContentType, bool IsCloudEvent, IReadOnlyDictionary<string, string>? Metadata, int Attempt);

/// <summary>What becomes of a message that was handed out.</summary>
public enum Settlement
{
    /// <summary>Done: this group never sees it again.</summary>
    Acknowledge,

    /// <summary>Failed: hand it out again after the redelivery interval.</summary>
    Redeliver,

    /// <summary>Was never tried: hand it out again at once, and do not count this attempt.</summary>
    Release,
}

/// <summary>A consumer group of one topic: every group gets every message, consumers within a group share them.</summary>
/// <param name="StartsAtLatest">A group seen for the first time starts behind the newest message, else at the oldest retained.</param>
/// <param name="Ephemeral">The group belongs to one replica and is forgotten after it has been idle.</param>
/// <param name="ProcessingTimeout">How long a consumer that died keeps its messages from the others of the group.</param>
/// <param name="RedeliverInterval">Pause before a failed message is handed out again.</param>
public sealed record ConsumerGroup(
    string Name, bool StartsAtLatest, bool Ephemeral, TimeSpan ProcessingTimeout, TimeSpan RedeliverInterval);

/// <summary>Messages that wait for a group.</summary>
public sealed record QueueDepth(string Topic, string Group, long Messages);

/// <summary>A message broker behind a <c>pubsub.*</c> component. Thread-safe; shared by the sidecars of one process.</summary>
public interface IBroker : IAsyncDisposable
{
    /// <summary>The broker itself drops messages whose time to live is over; otherwise the runtime marks and checks them.</summary>
    bool ExpiresMessages { get; }

    /// <summary>Appends messages in order. Those that it took are as durable as this broker makes anything once this returns.</summary>
    /// <returns>Why a message was not taken, by its index; empty = all were.</returns>
    /// <exception cref="BrokerException">None was taken.</exception>
    Task<IReadOnlyDictionary<int, string>> PublishAsync(string topic, IReadOnlyList<OutgoingMessage> messages, CancellationToken cancellation);

    /// <summary>Joins a group, made on first use.</summary>
    Task<IBrokerConsumer> SubscribeAsync(string topic, ConsumerGroup group, CancellationToken cancellation);

    /// <summary>Last known depth of every group, for metrics; does no I/O.</summary>
    IReadOnlyCollection<QueueDepth> Depths { get; }
}

/// <summary>
/// One consumer of a group. Used by one loop. Messages it holds are its own until settled, disposed or, should the process
/// die, the group's processing timeout is over.
/// </summary>
public interface IBrokerConsumer : IAsyncDisposable
{
    /// <summary>
    /// Waits for messages. Returns between one and <paramref name="messagesMax"/> of them: those to be redelivered first,
    /// then new ones in publish order.
    /// </summary>
    /// <param name="linger">With fewer than the maximum at hand, waits this long after the first for more.</param>
    Task<IReadOnlyList<ReceivedMessage>> ReceiveAsync(int messagesMax, TimeSpan linger, CancellationToken cancellation);

    /// <summary>Settles messages. Returns when the broker knows; a crash before that hands them out again.</summary>
    Task SettleAsync(IReadOnlyList<ReceivedMessage> messages, Settlement settlement);
}

/// <summary>The broker could not take or hand out messages.</summary>
public sealed class BrokerException(string message, Exception? inner = null) : Exception(message, inner);
