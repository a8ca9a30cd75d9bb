using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.Resiliency;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>
/// Delivers one topic to the app: takes a batch, posts it, settles it, takes the next. One batch at a time keeps the order of first
/// deliveries; <c>maxConcurrentHandlers</c> trades it for throughput.
/// </summary>
internal sealed class TopicDelivery : IAsyncDisposable
{
    /// <summary>Hand-outs after which a message goes to the dead-letter topic, where its component does not say. It gets there by processes
    /// that die while they deliver it, and by apps that want it again each time; other failures get there when their retries are used up.
    /// With a redelivery interval of 5 s that is more than three minutes.</summary>
    private const int AttemptsMaxWithDeadLetters = 40;
    private const int CrashesMax = 3;
    private const int PrefetchMax = 32;

    // How long messages that the app wants again are tried while those behind them wait.
    private static readonly TimeSpan HoldUpMax = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FaultPauseMin = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan FaultPauseMax = TimeSpan.FromSeconds(10);

    private readonly SidecarContext _context;
    private readonly PubSubComponent _component;
    private readonly DeliveryServices _services;
    private readonly DeadLetters _deadLetters;
    private readonly Router _router;
    private readonly ResiliencyPolicy _policy;
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _aborting = new();
    private readonly Task _loops;

    public TopicDelivery(SidecarContext context, PubSubComponent component, SubscriptionDefinition subscription, DeliveryServices services)
    {
        _context = context;
        _component = component;
        _services = services;
        Subscription = subscription;
        _deadLetters = new DeadLetters(context, subscription, services.Publisher, services.Metrics, services.Logger);
        _router = new Router(subscription, checkExpiry: !component.Broker.ExpiresMessages, context.Clock);
        _policy = services.Policies.ComponentInbound(component.Name, ComponentKind.PubSub);
        _loops = Task.WhenAll(Enumerable.Range(0, component.Consumers.ConcurrentHandlersMax).Select(_ => RunAsync()));
    }

    public SubscriptionDefinition Subscription { get; }

    /// <summary>Stops taking messages, waits for those under way, and gives back what is not done by then.</summary>
    public async Task StopAsync(TimeSpan drainLimit)
    {
        await _stopping.CancelAsync();
        try
        {
            await _loops.WaitAsync(drainLimit, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            Log.DrainTimedOut(_services.Logger, _context.AppId, 1, drainLimit);
            await _aborting.CancelAsync();
            await _loops;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _aborting.CancelAsync();
        await _loops;
        _stopping.Dispose();
        _aborting.Dispose();
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        TimeSpan pause = FaultPauseMin;
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await using IBrokerConsumer consumer = await _component.Broker.SubscribeAsync(Subscription.Topic, _component.Consumers.Group, _stopping.Token);
                while (!_stopping.IsCancellationRequested)
                {
                    await DeliverNextAsync(consumer);
                    pause = FaultPauseMin;
                }
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return; // what was held is given back by the consumer's disposal
            }
#pragma warning disable CA1031 // a loop that ended by a fault would end the subscription: it is logged and begun anew
            catch (Exception exception)
#pragma warning restore CA1031
            {
                Log.ConsumeFailed(_services.Logger, _component.Name, Subscription.Topic, _context.AppId, pause, exception);
                await Task.Delay(pause, _context.Clock, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                pause = pause * 2 < FaultPauseMax ? pause * 2 : FaultPauseMax;
            }
        }
    }

    private async Task DeliverNextAsync(IBrokerConsumer consumer)
    {
        if (Subscription.Bulk is { } bulk)
        {
            IReadOnlyList<ReceivedMessage> batch = await consumer.ReceiveAsync(bulk.MessagesMax, bulk.Await, _stopping.Token);
            await SettleAsync(consumer, batch, await DeliverAsync(batch));
            return;
        }

        // Acknowledgements are written while the next message is under way: they go in order, and a crash only repeats.
        var settling = new List<Task>(PrefetchMax);
        foreach (ReceivedMessage message in await consumer.ReceiveAsync(PrefetchMax, TimeSpan.Zero, _stopping.Token))
        {
            if (_stopping.IsCancellationRequested) break;
            ReceivedMessage[] one = [message];
            settling.Add(SettleAsync(consumer, one, await DeliverAsync(one)));
        }

        await Task.WhenAll(settling);
    }

    private static async Task SettleAsync(IBrokerConsumer consumer, IReadOnlyList<ReceivedMessage> batch, HashSet<long> redeliver)
    {
        if (redeliver.Count == 0)
        {
            await consumer.SettleAsync(batch, Settlement.Acknowledge);
            return;
        }

        await consumer.SettleAsync([.. batch.Where(message => redeliver.Contains(message.Id))], Settlement.Redeliver);
        await consumer.SettleAsync([.. batch.Where(message => !redeliver.Contains(message.Id))], Settlement.Acknowledge);
    }

    /// <returns>Ids of those to be redelivered; the others are done with.</returns>
    private async Task<HashSet<long>> DeliverAsync(IReadOnlyList<ReceivedMessage> batch)
    {
        var undelivered = new List<Undelivered>();
        var later = new HashSet<long>();
        foreach ((string path, List<ReceivedMessage> messages) in Route(batch, undelivered)) await DeliverToAsync(path, messages, undelivered, later);
        if (undelivered.Count == 0) return later;

        HashSet<long> done = await _deadLetters.DisposeOfAsync(undelivered, _aborting.Token);
        later.UnionWith(undelivered.Select(message => message.Message.Id).Where(id => !done.Contains(id)));
        return later;
    }

    private List<(string Path, List<ReceivedMessage> Messages)> Route(IReadOnlyList<ReceivedMessage> batch, List<Undelivered> undelivered)
    {
        var routed = new List<(string Path, List<ReceivedMessage> Messages)>();
        int? attemptsMax = _component.Consumers.DeliveryAttemptsMax ?? (Subscription.DeadLetterTopic is null ? null : AttemptsMaxWithDeadLetters);
        foreach (ReceivedMessage message in batch)
        {
            if (message.Attempt > attemptsMax)
            {
                undelivered.Add(new Undelivered(message, $"it was handed out {message.Attempt - 1} times without success", Failed: false));
                continue;
            }

            RouteChoice choice = _router.Choose(message);
            if (choice.Path is not { } path)
            {
                undelivered.Add(new Undelivered(message, choice.Discard!, choice.Failed));
                continue;
            }

            int found = routed.FindIndex(route => route.Path == path);
            if (found < 0) routed.Add((path, [message]));
            else routed[found].Messages.Add(message);
        }

        return routed;
    }

    private async Task DeliverToAsync(string path, List<ReceivedMessage> messages, List<Undelivered> undelivered, HashSet<long> later, int crashes = 0)
    {
        var attempt = new Delivery(path, messages) { Crashes = crashes };
        long started = _context.Clock.GetTimestamp();
        while (true)
        {
            try
            {
                await _policy.ExecuteAsync(
                    token => TryAsync(attempt, token), MayHoldUp, _aborting.Token, _stopping.Token);
                break;
            }
            catch (AppUnreachableException exception) when (!exception.WasHandling || ++attempt.Crashes < CrashesMax)
            {
                // Nothing is wrong with the messages. They stay leased, and in order, until the app is back.
                await _services.Presence.WaitUntilBackAsync(_services.Stopping, _stopping.Token);
            }
            catch (AppUnreachableException) when (attempt.Remaining.Count > 1)
            {
                // One message of the bulk may kill the app, or the app was merely killed often. Halves tell: each that
                // kills is halved again, until what is given up for its crashes is one message and not a thousand.
                await _services.Presence.WaitUntilBackAsync(_services.Stopping, _stopping.Token);
                foreach (ReceivedMessage[] half in attempt.Remaining.Chunk((attempt.Remaining.Count + 1) / 2))
                {
                    await DeliverToAsync(path, [.. half], undelivered, later, crashes: half.Length > 1 ? CrashesMax - 1 : 0);
                }

                break;
            }
            catch (DeliveryFailedException exception) when (attempt.GivesWay)
            {
                later.UnionWith(attempt.Remaining.Select(message => message.Id));
                _services.Metrics.Retried(_component.Name, Subscription.Topic, attempt.Remaining.Count);
                Log.DeliveryFailed(_services.Logger, attempt.Remaining.Count, _component.Name, Subscription.Topic, _context.AppId, exception.Message);
                break;
            }
            catch (Exception exception) when (exception is DeliveryFailedException or TimeoutException or CircuitOpenException or AppUnreachableException)
            {
                string fault = exception.Message;
                undelivered.AddRange(attempt.Remaining.Select(message => new Undelivered(message, fault, Failed: true)));
                break;
            }
        }

        undelivered.AddRange(attempt.Dropped);

        // An app that fails as a whole would fail the next batch too: there the policy's retries are made with the topic at a
        // halt. One that works and wants some messages again gets them from the broker, after those behind them.
        bool MayHoldUp(Exception exception)
        {
            if (exception is not DeliveryFailedException failed) return false;
            attempt.GivesWay = failed.Status == 0 && _context.Clock.GetElapsedTime(started) >= HoldUpMax;
            return !attempt.GivesWay;
        }
    }

    // Posts what remains and takes out what the app is done with.
    private async Task<bool> TryAsync(Delivery delivery, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _aborting.Token);
        Answer[] answers = Subscription.Bulk is null
            ? [await _services.Poster.PostAsync(Subscription, delivery.Path, delivery.Remaining[0], either.Token)]
            : await _services.Poster.PostBulkAsync(Subscription, delivery.Path, delivery.Remaining, either.Token);
        if (answers[0].Status == StatusCodes.Status404NotFound) Log.RouteMissing(_services.Logger, delivery.Path, _component.Name, Subscription.Topic);

        var failed = new List<ReceivedMessage>();
        Answer lastFailure = default;
        int delivered = 0;
        for (int i = 0; i < answers.Length; i++)
        {
            ReceivedMessage message = delivery.Remaining[i];
            switch (answers[i].Verdict)
            {
                case Verdict.Success:
                    delivered++;
                    break;
                case Verdict.Drop:
                    delivery.Dropped.Add(new Undelivered(message, answers[i].Reason, Failed: false));
                    break;
                default:
                    failed.Add(message);
                    lastFailure = answers[i];
                    break;
            }
        }

        delivery.Remaining = failed;
        _services.Metrics.Delivered(_component.Name, Subscription.Topic, delivered);
        return failed.Count == 0 ? true : throw new DeliveryFailedException(lastFailure.Reason, lastFailure.Status);
    }

    private sealed class Delivery(string path, List<ReceivedMessage> messages)
    {
        public string Path => path;

        public List<ReceivedMessage> Remaining { get; set; } = messages;

        public List<Undelivered> Dropped { get; } = [];

        public int Crashes { get; set; }

        /// <summary>What remains is to be redelivered by the broker, later.</summary>
        public bool GivesWay { get; set; }
    }
}

/// <summary>What the deliveries of one sidecar share.</summary>
/// <param name="Stopping">The sidecar stops.</param>
internal sealed record DeliveryServices(
    AppPoster Poster, AppPresence Presence, Publishing.Publisher Publisher, IPolicyProvider Policies, PubSubMetrics Metrics, ILogger Logger, CancellationToken Stopping);

/// <summary>The app did not take some messages of a delivery.</summary>
internal sealed class DeliveryFailedException(string reason, int status) : Exception(reason), IStatusFailure
{
    public int Status => status;
}
