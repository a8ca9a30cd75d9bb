using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.SequenceStore.Sequences;
using Microsoft.Extensions.Options;

namespace Mesh.SequenceStore.Writing;

/// <summary>
/// Takes deliveries of the topics <c>engagements</c> and <c>impressions</c>: one actor call per user and delivery, a bounded
/// number at a time, and more than one for a user whose messages are too many for one call. What a failed call held is
/// delivered again; the rest is done.
/// </summary>
internal sealed class EventSubscriber(IUserWriter writer, IOptions<SequenceOptions> options, SequenceMetrics metrics, ILogger<EventSubscriber> logger)
{
    public Task<IReadOnlyList<Delivery>> EngagementsAsync(IReadOnlyList<Engagement> engagements, CancellationToken cancellation) => DeliverAsync(
        new TopicOf<Engagement>(
            Topics.Engagements,
            engagement => EventReading.TryRead(engagement, out _, out string fault) ? "" : fault,
            engagement => engagement.EventId,
            engagement => engagement.UserId,
            writer.AppendAsync),
        engagements,
        cancellation);

    public Task<IReadOnlyList<Delivery>> ImpressionsAsync(IReadOnlyList<Impressions> pages, CancellationToken cancellation) => DeliverAsync(
        new TopicOf<Impressions>(Topics.Impressions, EventReading.FaultOf, page => page.EventId, page => page.UserId, writer.MarkServedAsync),
        pages,
        cancellation);

    private async Task<IReadOnlyList<Delivery>> DeliverAsync<T>(TopicOf<T> topic, IReadOnlyList<T> messages, CancellationToken cancellation) where T : IMessage
    {
        var deliveries = new Delivery[messages.Count];
        var indexesByUser = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        for (int i = 0; i < messages.Count; i++)
        {
            string fault = topic.FaultOf(messages[i]);
            if (fault.Length > 0)
            {
                deliveries[i] = Delivery.Drop;
                metrics.Poison();
                Log.EventDropped(logger, topic.EventId(messages[i]), topic.Name, fault);
                continue;
            }

            string user = topic.User(messages[i]);
            if (!indexesByUser.TryGetValue(user, out List<int>? indexes)) indexesByUser.Add(user, indexes = []);
            indexes.Add(i);
        }

        // Each entry of `deliveries` is written by the one task that has its user.
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Value.AppendParallelism, CancellationToken = cancellation };
        await Parallel.ForEachAsync(indexesByUser, parallel, async (pair, token) =>
        {
            foreach (List<int> call in CallBatches.Split(pair.Value, index => messages[index].CalculateSize()))
            {
                Delivery delivery = await WriteAsync(topic, pair.Key, [.. call.Select(index => messages[index])], token);
                foreach (int index in call) deliveries[index] = delivery;
            }
        });
        return deliveries;
    }

    private async Task<Delivery> WriteAsync<T>(TopicOf<T> topic, string user, IReadOnlyList<T> messages, CancellationToken cancellation)
    {
        try
        {
            await topic.Write(user, messages, cancellation);
            return Delivery.Success;
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            // Whatever it was, the outcome is unknown, and the append finds out itself what of it is there already.
            Log.WriteFailed(logger, messages.Count, topic.Name, exception);
            return Delivery.Retry;
        }
    }

    private sealed record TopicOf<T>(
        string Name, Func<T, string> FaultOf, Func<T, string> EventId, Func<T, string> User, Func<string, IReadOnlyList<T>, CancellationToken, Task> Write);
}
