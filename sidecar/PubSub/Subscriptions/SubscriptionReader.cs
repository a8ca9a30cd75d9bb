using System.Text.Json;
using System.Text.Json.Serialization;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.PubSub.Publishing;
using Mesh.Sidecar.PubSub.Routing;
using YamlDotNet.RepresentationModel;

namespace Mesh.Sidecar.PubSub.Subscriptions;

/// <summary>Reads subscriptions from the app's answer and from Subscription documents, both versions of each.</summary>
internal static class SubscriptionReader
{
    // Go's decoder, which daprd uses, matches names in any case and ignores what it does not know.
    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true, NumberHandling = JsonNumberHandling.AllowReadingFromString };

    /// <summary>The app's answer to <c>GET /dapr/subscribe</c>.</summary>
    /// <exception cref="JsonException">It is not an array of subscriptions.</exception>
    public static SubscriptionList FromApp(ReadOnlySpan<byte> body)
    {
        AppSubscription[] read = body.IsEmpty ? [] : JsonSerializer.Deserialize<AppSubscription[]>(body, Json) ?? [];
        return Collect(read, subscription => Build(
            subscription.PubsubName ?? "", subscription.Topic ?? "",
            [.. (subscription.Routes?.Rules ?? []).Select(rule => (rule.Match, rule.Path))],
            subscription.Routes?.Default is { Length: > 0 } route ? route : subscription.Route,
            subscription.DeadLetterTopic,
            subscription.Metadata ?? [],
            subscription.BulkSubscribe is { Enabled: true } bulk ? BulkSettings.From(bulk.MaxMessagesCount, bulk.MaxAwaitDurationMs) : null,
            "/dapr/subscribe"),
            subscription => new RefusedSubscription(subscription.PubsubName ?? "", subscription.Topic ?? "", "/dapr/subscribe", ""));
    }

    /// <summary>Documents of kind Subscription: <c>dapr.io/v1alpha1</c> with one route, <c>dapr.io/v2alpha1</c> with rules.</summary>
    public static SubscriptionList FromDocuments(IEnumerable<ResourceDocument> documents) =>
        Collect(documents, FromDocument, document => new RefusedSubscription(
            document.Spec?.FindText("pubsubname") ?? "", document.Spec?.FindText("topic") ?? "", document.Source, ""));

    private static SubscriptionDefinition FromDocument(ResourceDocument document)
    {
        YamlMappingNode spec = document.Spec ?? throw new FormatException("the document has no spec");
        var routes = spec.Find("routes") as YamlMappingNode;
        var rules = (routes?.Find("rules") as YamlSequenceNode)?.OfType<YamlMappingNode>() ?? [];
        bool secondVersion = document.ApiVersion.EndsWith("/v2alpha1", StringComparison.Ordinal);
        var metadata = (spec.Find("metadata") as YamlMappingNode)?.Children
            .ToDictionary(pair => ((YamlScalarNode)pair.Key).Value ?? "", pair => (pair.Value as YamlScalarNode)?.Value ?? "", StringComparer.Ordinal) ?? [];
        return Build(
            spec.FindText("pubsubname") ?? "", spec.FindText("topic") ?? "",
            secondVersion ? [.. rules.Select(rule => (rule.FindText("match"), rule.FindText("path")))] : [],
            secondVersion ? routes?.FindText("default") : spec.FindText("route"),
            spec.FindText("deadLetterTopic"), metadata, Bulk(spec.Find("bulkSubscribe") as YamlMappingNode), document.Source) with { Declarative = true };
    }

    private static BulkSettings? Bulk(YamlMappingNode? node)
    {
        if (node?.FindText("enabled") is not "true") return null;
        _ = int.TryParse(node.FindText("maxMessagesCount"), out int messagesMax);
        _ = int.TryParse(node.FindText("maxAwaitDurationMs"), out int awaitMs);
        return BulkSettings.From(messagesMax, awaitMs);
    }

    private static SubscriptionDefinition Build(
        string pubsub, string topic, List<(string? Match, string? Path)> rules, string? defaultRoute, string? deadLetterTopic,
        Dictionary<string, string> metadata, BulkSettings? bulk, string source)
    {
        if (pubsub.Length == 0 || topic.Length == 0) throw new FormatException("pubsubname and topic must be given");
        var read = new List<RouteRule>();
        foreach ((string? match, string? path) in rules)
        {
            if (path is not { Length: > 0 }) throw new FormatException($"the rule '{match}' has no path");
            read.Add(new RouteRule(string.IsNullOrWhiteSpace(match) ? null : CelExpression.Parse(match.Trim()), path));
        }

        if (defaultRoute is { Length: > 0 }) read.Add(new RouteRule(null, defaultRoute));
        if (read.Count == 0) throw new FormatException("it has no route");
        return new SubscriptionDefinition(pubsub, topic, read)
        {
            DeadLetterTopic = string.IsNullOrEmpty(deadLetterTopic) ? null : deadLetterTopic,
            Metadata = metadata,
            RawPayload = RequestMetadata.ParseBool("rawPayload", metadata.GetValueOrDefault("rawPayload")),
            Bulk = bulk,
            Source = source,
        };
    }

    private static SubscriptionList Collect<T>(IEnumerable<T> items, Func<T, SubscriptionDefinition> read, Func<T, RefusedSubscription> name)
    {
        var usable = new List<SubscriptionDefinition>();
        var refused = new List<RefusedSubscription>();
        foreach (T item in items)
        {
            try
            {
                usable.Add(read(item));
            }
            catch (Exception exception) when (exception is FormatException or CelException)
            {
                refused.Add(name(item) with { Fault = exception.Message });
            }
        }

        return new SubscriptionList(usable, refused);
    }

    private sealed record AppSubscription(
        string? PubsubName, string? Topic, string? Route, AppRoutes? Routes, string? DeadLetterTopic, Dictionary<string, string>? Metadata, AppBulk? BulkSubscribe);

    private sealed record AppRoutes(IReadOnlyList<AppRule>? Rules, string? Default);

    private sealed record AppRule(string? Match, string? Path);

    private sealed record AppBulk(bool Enabled, int MaxMessagesCount, int MaxAwaitDurationMs);
}
