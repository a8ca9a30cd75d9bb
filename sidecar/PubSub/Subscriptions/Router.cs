using System.Globalization;
using System.Text;
using System.Text.Json;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Routing;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>Where a message goes; exactly one of path and reason is set.</summary>
/// <param name="Discard">Why it goes nowhere.</param>
/// <param name="Failed">It goes nowhere because of a fault (not an event, a rule that cannot be evaluated): redelivered where there is no
/// dead-letter topic. Otherwise it is simply not wanted: dropped.</param>
internal readonly record struct RouteChoice(string? Path, string? Discard, bool Failed);

/// <summary>
/// Chooses the path of a message. The event is parsed only where a rule, its expiry or its origin asks for it: the usual
/// subscription with one route never looks inside.
/// </summary>
internal sealed class Router(SubscriptionDefinition subscription, bool checkExpiry, TimeProvider clock)
{
    private readonly bool _hasRules = subscription.Rules.Any(rule => rule.Match is not null);

    public RouteChoice Choose(ReceivedMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (subscription.RawPayload) return ChooseRaw(message);

        bool mayExpire = checkExpiry && message.Data.Span.IndexOf("\"expiration\""u8) >= 0;
        if (message.IsCloudEvent && !_hasRules && !mayExpire) return new RouteChoice(subscription.Rules[0].Path, null, false);

        try
        {
            using JsonDocument document = JsonDocument.Parse(message.Data);
            JsonElement cloudEvent = document.RootElement;
            if (cloudEvent.ValueKind != JsonValueKind.Object) return Fault("the message is no CloudEvent; subscribe with rawPayload for such");
            return HasExpired(cloudEvent) ? new RouteChoice(null, "its time to live is over", false) : Match(cloudEvent);
        }
        catch (JsonException exception)
        {
            return Fault($"the message is no CloudEvent ({exception.Message}); subscribe with rawPayload for such");
        }
    }

    private RouteChoice ChooseRaw(ReceivedMessage message) => _hasRules ? Match(Encoding.UTF8.GetString(message.Data.Span)) : new RouteChoice(subscription.Rules[0].Path, null, false);

    private RouteChoice Match(object cloudEvent)
    {
        var variables = new Dictionary<string, object?>(StringComparer.Ordinal) { ["event"] = cloudEvent };
        try
        {
            foreach (RouteRule rule in subscription.Rules)
            {
                if (rule.Match is null || rule.Match.IsTrue(variables)) return new RouteChoice(rule.Path, null, false);
            }
        }
        catch (CelException exception)
        {
            return Fault(exception.Message);
        }

        return new RouteChoice(null, "no route matches", false);
    }

    private bool HasExpired(JsonElement cloudEvent) =>
        checkExpiry
        && cloudEvent.TryGetProperty("expiration"u8, out JsonElement expiration) && expiration.ValueKind == JsonValueKind.String
        && DateTimeOffset.TryParse(expiration.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at)
        && at <= clock.GetUtcNow();

    private static RouteChoice Fault(string fault) => new(null, fault, true);
}
