using System.Text.Json;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>
/// The subscriptions of one app and their deliveries. Read from documents once, and from the app each time it comes up; a
/// subscription that is the same afterwards goes on undisturbed.
/// </summary>
internal sealed class SubscriptionSet(SidecarContext context, PubSubComponents components, DeliveryServices services) : IAsyncDisposable
{
    private static readonly TimeSpan RetryPauseMin = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan RetryPauseMax = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(5);
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Dictionary<string, TopicDelivery> _deliveries = new(StringComparer.Ordinal);
    private readonly Lock _backgroundGate = new();
    private volatile IReadOnlyList<SubscriptionDefinition> _active = [];
    private SubscriptionList _declared = new([], []);
    private Task _background = Task.CompletedTask;

    public IReadOnlyList<SubscriptionDefinition> Active => _active;

    /// <summary>Reads the subscriptions and begins to deliver. An app that cannot say its subscriptions yet is asked again in the background.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        if (context.App is null || components.All.Count == 0) return;
        _declared = SubscriptionReader.FromDocuments(
            context.Resources.OfKind("Subscription").Where(document => document.IsVisibleTo(context.AppId)));
        services.Presence.Back += RefreshInBackground;
        if (!await TryRefreshAsync(RetryPauseMin, cancellation)) RefreshInBackground();
    }

    /// <summary>Reads the app's subscriptions anew, until that succeeds.</summary>
    public async Task RefreshAsync(CancellationToken cancellation)
    {
        TimeSpan pause = RetryPauseMin;
        while (!await TryRefreshAsync(pause, cancellation))
        {
            await Task.Delay(pause, context.Clock, cancellation);
            pause = pause * 2 < RetryPauseMax ? pause * 2 : RetryPauseMax;
        }
    }

    /// <summary>Stops all deliveries, with a limit on how long what is under way may take.</summary>
    public async ValueTask DisposeAsync()
    {
        services.Presence.Back -= RefreshInBackground;
        Task background;
        lock (_backgroundGate) background = _background;
        await background.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _turn.WaitAsync();
        await Task.WhenAll(_deliveries.Values.Select(StopAsync));
        _deliveries.Clear();
        _turn.Dispose();
    }

    private void RefreshInBackground()
    {
        lock (_backgroundGate)
        {
            if (_background.IsCompleted) _background = RefreshAsync(services.Stopping);
        }
    }

    private async Task<bool> TryRefreshAsync(TimeSpan pause, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            SubscriptionList asked = await AskAppAsync(cancellation);
            await ReconcileAsync(asked);
            return true;
        }
        catch (Exception exception) when (exception is HttpRequestException or JsonException or TimeoutException)
        {
            Log.SubscriptionsUnreadable(services.Logger, context.AppId, pause, exception.Message);
            // What documents declare does not depend on the app's answer.
            if (_deliveries.Count == 0 && _declared.Usable.Count > 0) await ReconcileAsync(new SubscriptionList([], []));
            return false;
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task<SubscriptionList> AskAppAsync(CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri("dapr/subscribe", UriKind.Relative));
        request.Headers.TryAddWithoutValidation("dapr-app-id", context.AppId);
        using HttpResponseMessage response = await context.App!.SendAsync(request, cancellation);
        if (response.StatusCode == System.Net.HttpStatusCode.NotFound) return new SubscriptionList([], []); // it has no subscriptions of its own
        if (!response.IsSuccessStatusCode) throw new HttpRequestException($"the app answered {(int)response.StatusCode}");
        return SubscriptionReader.FromApp(await response.Content.ReadAsByteArrayAsync(cancellation));
    }

    private async Task ReconcileAsync(SubscriptionList asked)
    {
        Dictionary<string, SubscriptionDefinition> wanted = Wanted(asked);
        TopicDelivery[] outdated = [.. _deliveries.Values.Where(delivery =>
            !wanted.TryGetValue(delivery.Subscription.Key, out SubscriptionDefinition? same) || !same.SameAs(delivery.Subscription))];
        foreach (TopicDelivery delivery in outdated) _deliveries.Remove(delivery.Subscription.Key);
        await Task.WhenAll(outdated.Select(StopAsync));

        bool changed = outdated.Length > 0;
        foreach (SubscriptionDefinition subscription in wanted.Values.Where(subscription => !_deliveries.ContainsKey(subscription.Key)))
        {
            _deliveries.Add(subscription.Key, new TopicDelivery(context, components.Find(subscription.PubSub)!, subscription, services));
            changed = true;
        }

        _active = [.. wanted.Values];
        if (changed) Log.Subscribed(services.Logger, context.AppId, string.Join(", ", wanted.Keys));
    }

    private Dictionary<string, SubscriptionDefinition> Wanted(SubscriptionList asked)
    {
        foreach (RefusedSubscription refused in asked.Refused.Concat(_declared.Refused))
        {
            Log.SubscriptionRefused(services.Logger, context.AppId, refused.Topic, refused.PubSub, refused.Source, refused.Fault);
        }

        var wanted = new Dictionary<string, SubscriptionDefinition>(StringComparer.Ordinal);
        foreach (SubscriptionDefinition subscription in asked.Usable.Concat(_declared.Usable))
        {
            string? fault = components.Find(subscription.PubSub) is not { } component ? "this app sees no pub/sub component of that name"
                : !component.Scopes.MaySubscribe(subscription.Topic) ? "the component's scopes do not allow it"
                : null;
            if (fault is not null) Log.SubscriptionRefused(services.Logger, context.AppId, subscription.Topic, subscription.PubSub, subscription.Source, fault);
            else if (!wanted.TryAdd(subscription.Key, subscription)) Log.SubscriptionTwice(services.Logger, subscription.Topic, subscription.PubSub, context.AppId, subscription.Source);
        }

        return wanted;
    }

    private static async Task StopAsync(TopicDelivery delivery)
    {
        await delivery.StopAsync(DrainLimit);
        await delivery.DisposeAsync();
    }
}
