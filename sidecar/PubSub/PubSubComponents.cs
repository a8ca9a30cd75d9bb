using System.Text.RegularExpressions;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.PubSub.Brokers;
using Mesh.Sidecar.PubSub.Brokers.Sqlite;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.PubSub;

/// <summary>A pub/sub component as this app sees it: the broker is shared within the process, scopes and group are its own.</summary>
internal sealed record PubSubComponent(string Name, IBroker Broker, TopicScopes Scopes, ConsumerSettings Consumers);

/// <summary>How this app consumes a component's topics.</summary>
/// <param name="DeliveryAttemptsMax">After so many hand-outs a message is dead-lettered, or dropped where there is no such topic; null = see
/// <c>TopicDelivery</c>.</param>
internal sealed record ConsumerSettings(ConsumerGroup Group, int ConcurrentHandlersMax, int? DeliveryAttemptsMax);

/// <summary>The pub/sub components that one app sees, opened when the sidecar starts.</summary>
internal sealed partial class PubSubComponents
{
    private readonly Dictionary<string, PubSubComponent> _components = new(StringComparer.Ordinal);

    /// <exception cref="ComponentException">A component's metadata cannot be used.</exception>
    public PubSubComponents(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        foreach (ComponentDefinition definition in context.Components.Where(component => component.Type.StartsWith("pubsub.", StringComparison.Ordinal)))
        {
            try
            {
                IBroker broker = Open(definition, context);
                var scopes = new TopicScopes(context.AppId, definition.Metadata);
                _components.Add(definition.Name, new PubSubComponent(definition.Name, broker, scopes, Consumers(definition, context.AppId)));
            }
            catch (BrokerException exception)
            {
                throw new ComponentException(exception.Message, exception);
            }
        }
    }

    public IReadOnlyCollection<PubSubComponent> All => _components.Values;

    public PubSubComponent? Find(string name) => _components.GetValueOrDefault(name);

    private static IBroker Open(ComponentDefinition definition, SidecarContext context)
    {
        ILogger logger = context.Loggers.CreateLogger("Mesh.Sidecar.PubSub");
        switch (definition.Type)
        {
            case "pubsub.in-memory":
                return context.Shared.GetOrAdd<IBroker>($"pubsub.in-memory:{definition.Name}", () => new InMemoryBroker(
                    new InMemoryOptions(
                        Positive(definition, "maxMessages", 100_000), Positive(definition, "retainedMessages", 10_000),
                        definition.GetDuration("publishTimeout", TimeSpan.FromSeconds(5))),
                    context.Clock));
            case "pubsub.sqlite":
                SqliteBrokerOptions options = SqliteOptions(definition, context.Options.DataDirectory);
                return context.Shared.GetOrAdd<IBroker>($"pubsub.sqlite:{options.Path}", () => new SqliteBroker(options, context.Clock, logger));
            default:
                throw new ComponentException($"Component {definition.Name} has type {definition.Type}, which the embedded sidecar lacks. Run with the real daprd.");
        }
    }

    private static SqliteBrokerOptions SqliteOptions(ComponentDefinition definition, string dataDirectory)
    {
        string connection = definition.Find("connectionString") ?? throw definition.Invalid("connectionString", "", "the path of the database file");
        string file = connection.StartsWith("file:", StringComparison.OrdinalIgnoreCase) ? connection["file:".Length..] : connection;
        if (file.Contains('?', StringComparison.Ordinal) || file.Contains(":memory:", StringComparison.Ordinal))
        {
            throw definition.Invalid("connectionString", connection, "the path of a file; for a broker in memory use pubsub.in-memory");
        }

        var defaults = new SqliteBrokerOptions { Path = "", Component = "" };
        return new SqliteBrokerOptions
        {
            Path = Path.GetFullPath(file, Path.GetFullPath(dataDirectory)),
            Component = definition.Name,
            Retention = definition.GetDuration("retention", defaults.Retention),
            AgeMax = Longer(definition, "maxAge", defaults.AgeMax),
            BytesMax = definition.Find("maxMegabytes") is null ? defaults.BytesMax : Positive(definition, "maxMegabytes", 0) * 1024L * 1024L,
            IdleGroupTimeToLive = Longer(definition, "idleGroupTTL", defaults.IdleGroupTimeToLive),
            CleanupInterval = Longer(definition, "cleanupInterval", defaults.CleanupInterval),
        };
    }

    private static ConsumerSettings Consumers(ComponentDefinition definition, string appId)
    {
        string name = definition.Find("consumerID")?.Trim() is { Length: > 0 } given ? given : appId;
        // A consumerID with {uuid} has one filled in when the component is read: a group of this replica, and of this run.
        bool ephemeral = Uuid().IsMatch(name);
        string position = definition.Find("initialPosition") ?? (ephemeral ? "latest" : "earliest");
        if (position is not ("earliest" or "latest")) throw definition.Invalid("initialPosition", position, "earliest or latest");

        var group = new ConsumerGroup(
            name, position == "latest", ephemeral, Longer(definition, "processingTimeout", TimeSpan.FromSeconds(15)),
            Longer(definition, "redeliverInterval", TimeSpan.FromSeconds(5)));
        int? attempts = definition.Find("maxDeliveryAttempts") is null ? null : Positive(definition, "maxDeliveryAttempts", 0);
        return new ConsumerSettings(group, Positive(definition, "maxConcurrentHandlers", 1), attempts);
    }

    private static int Positive(ComponentDefinition definition, string name, int fallback)
    {
        int value = definition.GetInt(name, fallback);
        return value > 0 ? value : throw definition.Invalid(name, value.ToString(System.Globalization.CultureInfo.InvariantCulture), "1 or more");
    }

    private static TimeSpan Longer(ComponentDefinition definition, string name, TimeSpan fallback)
    {
        TimeSpan value = definition.GetDuration(name, fallback);
        return value > TimeSpan.Zero ? value : throw definition.Invalid(name, definition.Find(name) ?? "", "longer than zero");
    }

    [GeneratedRegex("[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")]
    private static partial Regex Uuid();
}
