using Mesh.Sidecar.PubSub.Routing;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>Deliveries in bulk.</summary>
/// <param name="MessagesMax">Most messages of one POST; 100 where the subscription does not say.</param>
/// <param name="Await">Longest wait for a POST to fill up, counted from its first message; 1 s where the subscription does not say.</param>
internal sealed record BulkSettings(int MessagesMax, TimeSpan Await)
{
    private const int DefaultMessagesMax = 100;
    private const int DefaultAwaitMs = 1000;

    public static BulkSettings From(int messagesMax, int awaitMs) =>
        new(messagesMax > 0 ? messagesMax : DefaultMessagesMax, TimeSpan.FromMilliseconds(awaitMs > 0 ? awaitMs : DefaultAwaitMs));
}

/// <summary>Where events go: the first rule that matches, in order; one without expression matches all.</summary>
internal sealed record RouteRule(CelExpression? Match, string Path);

/// <summary>One topic that the app wants, from its own <c>/dapr/subscribe</c> or a Subscription document.</summary>
internal sealed record SubscriptionDefinition(string PubSub, string Topic, IReadOnlyList<RouteRule> Rules)
{
    public string? DeadLetterTopic { get; init; }

    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>Null = one message a POST.</summary>
    public BulkSettings? Bulk { get; init; }

    public bool RawPayload { get; init; }

    /// <summary>Declared by a document, not by the app.</summary>
    public bool Declarative { get; init; }

    /// <summary>For messages: the file, or the app's endpoint.</summary>
    public string Source { get; init; } = "/dapr/subscribe";

    public string Key => $"{PubSub}/{Topic}";

    /// <summary>Whether deliveries would be the same.</summary>
    public bool SameAs(SubscriptionDefinition other) => Fingerprint() == other.Fingerprint();

    /// <summary>As the metadata API lists it.</summary>
    public Wire.PubsubSubscription Describe()
    {
        var rules = new Wire.PubsubSubscriptionRules();
        rules.Rules.AddRange(Rules.Select(rule => new Wire.PubsubSubscriptionRule { Match = rule.Match?.Text ?? "", Path = rule.Path }));
        return new Wire.PubsubSubscription
        {
            PubsubName = PubSub,
            Topic = Topic,
            Metadata = { Metadata.ToDictionary() },
            Rules = rules,
            DeadLetterTopic = DeadLetterTopic ?? "",
            Type = Declarative ? Wire.PubsubSubscriptionType.Declarative : Wire.PubsubSubscriptionType.Programmatic,
        };
    }

    private string Fingerprint() => string.Join(
        '\n',
        [
            Key, DeadLetterTopic ?? "", $"{Bulk}", $"{RawPayload}", Source, .. Rules.Select(rule => $"{rule.Match?.Text}>{rule.Path}"),
            .. Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value}"),
        ]);
}

/// <summary>A subscription that cannot be used, and why.</summary>
internal sealed record RefusedSubscription(string PubSub, string Topic, string Source, string Fault);

/// <summary>What a source of subscriptions yields.</summary>
internal sealed record SubscriptionList(IReadOnlyList<SubscriptionDefinition> Usable, IReadOnlyList<RefusedSubscription> Refused);
