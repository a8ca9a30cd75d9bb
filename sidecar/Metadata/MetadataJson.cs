using System.Text.Json;
using System.Text.Json.Serialization;
using Google.Protobuf.Collections;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Metadata;

/// <summary>The metadata answer as Dapr's HTTP face spells it, which is not protobuf's own JSON. Empty parts are left out.</summary>
internal static class MetadataJson
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

#pragma warning disable CS0612 // obsolete in the contract; the documented 'actors' comes from it
    public static byte[] Write(Wire.GetMetadataResponse metadata) => JsonSerializer.SerializeToUtf8Bytes(
        new Document(
            metadata.Id,
            metadata.RuntimeVersion,
            OrNull(metadata.EnabledFeatures.ToList()),
            OrNull(Actors(metadata.ActiveActorsCount)),
            OrNull(metadata.RegisteredComponents.Select(component =>
                new Component(component.Name, component.Type, component.Version, OrNull(component.Capabilities.ToList()))).ToList()),
            metadata.ExtendedMetadata.ToDictionary(),
            OrNull(metadata.Subscriptions.Select(ToSubscription).ToList()),
            OrNull(metadata.HttpEndpoints.Select(endpoint => new Named(endpoint.Name)).ToList()),
            new AppConnection(
                metadata.AppConnectionProperties.Port, metadata.AppConnectionProperties.Protocol,
                metadata.AppConnectionProperties.ChannelAddress, metadata.AppConnectionProperties.MaxConcurrency),
            new ActorRuntime(
                metadata.ActorRuntime.RuntimeStatus.ToString().ToUpperInvariant(), OrNull(Actors(metadata.ActorRuntime.ActiveActors)),
                metadata.ActorRuntime.HostReady, metadata.ActorRuntime.Placement.Length == 0 ? null : metadata.ActorRuntime.Placement),
            OrNull(metadata.Resiliencies.Select(resiliency => new Named(resiliency.Name)).ToList())),
        Options);
#pragma warning restore CS0612

    private static List<T>? OrNull<T>(List<T> list) => list.Count == 0 ? null : list;

    private static List<Actor> Actors(RepeatedField<Wire.ActiveActorsCount> actors) =>
        [.. actors.Select(actor => new Actor(actor.Type, actor.Count))];

    private static Subscription ToSubscription(Wire.PubsubSubscription subscription) => new(
        subscription.PubsubName,
        subscription.Topic,
        subscription.Metadata.Count == 0 ? null : subscription.Metadata.ToDictionary(),
        OrNull((subscription.Rules?.Rules ?? []).Select(rule => new Rule(rule.Match.Length == 0 ? null : rule.Match, rule.Path)).ToList()),
        subscription.DeadLetterTopic,
        subscription.Type.ToString().ToUpperInvariant());

    private sealed record Document(
        string Id, string RuntimeVersion, List<string>? EnabledFeatures, List<Actor>? Actors, List<Component>? Components,
        Dictionary<string, string> Extended, List<Subscription>? Subscriptions, List<Named>? HttpEndpoints,
        AppConnection AppConnectionProperties, ActorRuntime ActorRuntime, List<Named>? Resiliencies);

    private sealed record Actor(string Type, int Count);

    private sealed record Component(string Name, string Type, string Version, List<string>? Capabilities);

    private sealed record Subscription(
        [property: JsonPropertyName("pubsubname")] string PubsubName, string Topic, Dictionary<string, string>? Metadata, List<Rule>? Rules,
        string DeadLetterTopic, string Type);

    private sealed record Rule(string? Match, string Path);

    private sealed record Named(string Name);

    private sealed record AppConnection(int Port, string Protocol, string ChannelAddress, int MaxConcurrency);

    private sealed record ActorRuntime(
        string RuntimeStatus, List<Actor>? ActiveActors, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] bool HostReady, string? Placement);
}
