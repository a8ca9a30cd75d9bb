using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Publishing;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>A message that will not be delivered, and why.</summary>
/// <param name="Failed">Delivery failed: without a dead-letter topic the broker redelivers it. Else it is not wanted: dropped.</param>
internal readonly record struct Undelivered(ReceivedMessage Message, string Reason, bool Failed);

/// <summary>
/// Decides what becomes of messages that were not delivered: on to the dead-letter topic as they are, where there is one; else
/// redelivered or dropped. The dead letter is durable before the original is acknowledged; a crash between the two makes two of it.
/// </summary>
internal sealed class DeadLetters(SidecarContext context, SubscriptionDefinition subscription, Publisher publisher, PubSubMetrics metrics, ILogger logger)
{
    /// <returns>Those to be acknowledged; the others are to be redelivered.</returns>
    public async Task<HashSet<long>> DisposeOfAsync(IReadOnlyList<Undelivered> messages, CancellationToken cancellation)
    {
        if (subscription.DeadLetterTopic is not { } topic) return DropOrKeep(messages);
        try
        {
            PubSubComponent component = publisher.Authorize(subscription.PubSub, topic);
            OutgoingMessage[] letters =
            [
                .. messages.Select(undelivered => undelivered.Message).Select(message =>
                    new OutgoingMessage(message.Data, message.ContentType, message.IsCloudEvent, message.Metadata)),
            ];
            IReadOnlyDictionary<int, string> failed = await publisher.SendAsync(component, topic, letters, cancellation);
            foreach (string fault in failed.Values.Distinct()) Log.DeadLetterFailed(logger, topic, subscription.PubSub, subscription.Topic, fault);
            List<Undelivered> passedOn = [.. messages.Where((_, index) => !failed.ContainsKey(index))];
            foreach (Undelivered letter in passedOn) Log.DeadLettered(logger, letter.Message.Id, subscription.PubSub, subscription.Topic, topic, letter.Reason);
            metrics.DeadLettered(subscription.PubSub, subscription.Topic, passedOn.Count);
            return [.. passedOn.Select(letter => letter.Message.Id)];
        }
        catch (DaprApiException exception)
        {
            Log.DeadLetterFailed(logger, topic, subscription.PubSub, subscription.Topic, exception.Message);
            return [];
        }
    }

    private HashSet<long> DropOrKeep(IReadOnlyList<Undelivered> messages)
    {
        HashSet<long> dropped = [];
        foreach (Undelivered undelivered in messages.Where(undelivered => !undelivered.Failed))
        {
            dropped.Add(undelivered.Message.Id);
            Log.Dropped(logger, undelivered.Message.Id, subscription.PubSub, subscription.Topic, context.AppId, undelivered.Reason);
            metrics.Dropped(subscription.PubSub, subscription.Topic, "undelivered");
        }

        int kept = messages.Count - dropped.Count;
        if (kept == 0) return dropped;
        metrics.Retried(subscription.PubSub, subscription.Topic, kept);
        Log.DeliveryFailed(logger, kept, subscription.PubSub, subscription.Topic, context.AppId, messages.First(undelivered => undelivered.Failed).Reason);
        return dropped;
    }
}
