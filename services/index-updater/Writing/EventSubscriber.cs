using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.Hosting;
using Mesh.IndexUpdater.Encoders;
using Mesh.Inference;
using Mesh.Numerics;

namespace Mesh.IndexUpdater.Writing;

/// <summary>
/// Takes deliveries of the topics <c>items</c>, <c>eligibility</c>, <c>engagements</c>, <c>impressions</c> and <c>models</c>, and
/// answers each event only when its shard has it stored and published. Items go at once; counts wait for their flush.
/// </summary>
internal sealed class EventSubscriber(
    IShardClient shards, ShardRouter router, CountCoalescer counts, IItemModels models, IndexUpdaterMetrics metrics, TimeProvider clock, ILogger<EventSubscriber> logger)
{
    public Task<IReadOnlyList<Delivery>> ItemsAsync(IReadOnlyList<ItemChange> changes, CancellationToken cancellation) => DeliverAsync(
        new TopicOf<ItemChange>(
            Topics.Items, EventFaults.Of, change => change.EventId,
            change => router.ShardOf(change.ChangeCase == ItemChange.ChangeOneofCase.Upserted ? change.Upserted.ItemId : change.DeletedItemId),
            (shard, batch, token) => shards.AppendItemsAsync(shard, new ItemChanges { Changes = { batch } }, token)),
        changes,
        cancellation);

    public Task<IReadOnlyList<Delivery>> EligibilityAsync(IReadOnlyList<EligibilityChange> changes, CancellationToken cancellation) => DeliverAsync(
        new TopicOf<EligibilityChange>(
            Topics.Eligibility, EventFaults.Of, change => change.EventId, change => router.ShardOf(change.ItemId),
            (shard, batch, token) => shards.AppendEligibilityAsync(shard, new EligibilityChanges { Changes = { batch } }, token)),
        changes,
        cancellation);

    public Task<IReadOnlyList<Delivery>> EngagementsAsync(IReadOnlyList<Engagement> engagements, CancellationToken cancellation) => CountAsync(
        engagements,
        Topics.Engagements,
        EventFaults.Of,
        engagement => engagement.EventId,
        engagement => [(router.ShardOf(engagement.ItemId), new CounterEvent
        {
            Event = StableHash.Compute(engagement.EventId),
            Counter = (uint)ActionTaxonomy.Default.IndexOf(engagement.Action),
            TimeMs = engagement.TimeMs,
            AcceptedAtMs = engagement.ReceivedAtMs > 0 ? engagement.ReceivedAtMs : engagement.TimeMs,
            ItemIds = { engagement.ItemId },
        })],
        cancellation);

    public Task<IReadOnlyList<Delivery>> ImpressionsAsync(IReadOnlyList<Impressions> pages, CancellationToken cancellation) =>
        CountAsync(pages, Topics.Impressions, EventFaults.Of, page => page.EventId, ByShard, cancellation);

    /// <summary>
    /// Each shard stores the change and goes over in its own time. A package that is not there may come, so its message comes again; one that
    /// is refused is dropped: sent again it would be no better.
    /// </summary>
    public async Task<IReadOnlyList<Delivery>> ModelsAsync(IReadOnlyList<ModelChange> changes, CancellationToken cancellation)
    {
        var deliveries = new Delivery[changes.Count];
        long nowMs = clock.GetUtcNow().ToUnixTimeMilliseconds();
        foreach (int index in Check(changes, Topics.Models, change => ModelChangeRules.FaultOf(change, nowMs), change => change.EventId, deliveries))
        {
            deliveries[index] = await ChangeModelAsync(changes[index], cancellation);
        }

        return deliveries;
    }

    private async Task<Delivery> ChangeModelAsync(ModelChange change, CancellationToken cancellation)
    {
        try
        {
            models.Open(change.Version, change.Path);
            for (uint shard = 0; shard < router.Shards; shard++) await shards.ChangeModelAsync(shard, change, cancellation);
            return Delivery.Success;
        }
        catch (ModelRejectedException exception)
        {
            metrics.ModelRefused();
            Log.ModelRefused(logger, change.Version, exception.MayCome ? "comes again" : "is dropped", exception.Message);
            return exception.MayCome ? Delivery.Retry : Delivery.Drop;
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            // Shards that have stored it know it when it comes again.
            Log.ApplyFailed(logger, 1, Topics.Models, exception);
            return Delivery.Retry;
        }
    }

    // A page's event id is its request id; the prefix keeps it apart from the ids of engagements.
    private IEnumerable<(uint, CounterEvent)> ByShard(Impressions page) => page.ItemIds.Distinct(StringComparer.Ordinal).GroupBy(router.ShardOf).Select(ids => (ids.Key, new CounterEvent
    {
        Event = StableHash.Compute($"impressions:{page.EventId}"),
        Counter = (uint)ActionTaxonomy.Default.ImpressionIndex,
        TimeMs = page.TimeMs,
        AcceptedAtMs = page.TimeMs,
        ItemIds = { ids },
    }));

    private async Task<IReadOnlyList<Delivery>> CountAsync<T>(
        IReadOnlyList<T> messages, string topic, Func<T, string> faultOf, Func<T, string> eventId, Func<T, IEnumerable<(uint Shard, CounterEvent Event)>> count,
        CancellationToken cancellation)
    {
        var deliveries = new Delivery[messages.Count];
        int[] good = Check(messages, topic, faultOf, eventId, deliveries);
        try
        {
            // A page over several shards is counted in each: one that fails brings the page back, and the others know it.
            await counts.CountAsync([.. good.SelectMany(index => count(messages[index]))], cancellation);
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            Log.ApplyFailed(logger, good.Length, topic, exception);
            foreach (int index in good) deliveries[index] = Delivery.Retry;
        }

        return deliveries;
    }

    private async Task<IReadOnlyList<Delivery>> DeliverAsync<T>(TopicOf<T> topic, IReadOnlyList<T> messages, CancellationToken cancellation) where T : IMessage
    {
        var deliveries = new Delivery[messages.Count];
        int[] good = Check(messages, topic.Name, topic.FaultOf, topic.EventId, deliveries);
        foreach (IGrouping<uint, int> shard in good.GroupBy(index => topic.Shard(messages[index])))
        {
            foreach (List<int> call in CallBatches.Split(shard, index => messages[index].CalculateSize()))
            {
                Delivery delivery = await CallAsync(topic, shard.Key, [.. call.Select(index => messages[index])], cancellation);
                foreach (int index in call) deliveries[index] = delivery;
            }
        }

        return deliveries;
    }

    private async Task<Delivery> CallAsync<T>(TopicOf<T> topic, uint shard, IReadOnlyList<T> batch, CancellationToken cancellation)
    {
        try
        {
            await topic.Append(shard, batch, cancellation);
            return Delivery.Success;
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            // Whatever it was, the outcome is unknown: delivered again, what was stored is known.
            Log.ApplyFailed(logger, batch.Count, topic.Name, exception);
            return Delivery.Retry;
        }
    }

    private int[] Check<T>(IReadOnlyList<T> messages, string topic, Func<T, string> faultOf, Func<T, string> eventId, Delivery[] deliveries)
    {
        var good = new List<int>(messages.Count);
        for (int i = 0; i < messages.Count; i++)
        {
            string fault = faultOf(messages[i]);
            if (fault.Length == 0)
            {
                good.Add(i);
                continue;
            }

            deliveries[i] = Delivery.Drop;
            metrics.Dropped();
            Log.EventDropped(logger, eventId(messages[i]), topic, fault);
        }

        return [.. good];
    }

    private sealed record TopicOf<T>(
        string Name, Func<T, string> FaultOf, Func<T, string> EventId, Func<T, uint> Shard, Func<uint, IReadOnlyList<T>, CancellationToken, Task> Append);
}
