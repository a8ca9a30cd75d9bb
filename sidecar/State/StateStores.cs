using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>One state component as an app sees it: its store, and how keys are prefixed in it.</summary>
public sealed record StateComponent(ComponentDefinition Definition, IStateStore Store, StateKeys Keys);

/// <summary>The state stores that one app sees: opened at start, shared within the process by type and address.</summary>
public sealed class StateStores
{
    private readonly Dictionary<string, StateComponent> _components = new(StringComparer.Ordinal);

    /// <exception cref="ComponentException">A store cannot be opened and its component does not say ignoreErrors.</exception>
    public StateStores(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        AppId = context.AppId;
        foreach (ComponentDefinition definition in context.Components.Where(component => component.Type.StartsWith("state.", StringComparison.Ordinal)))
        {
            try
            {
                _components[definition.Name] = new StateComponent(definition, Open(definition, context), StateKeys.From(definition, context));
            }
            catch (Exception error) when (definition.IgnoreErrors && error is StateStoreException or ComponentException)
            {
                Log.ComponentIgnored(context.Loggers.CreateLogger("Mesh.Sidecar.State"), definition.Name, definition.Type, error.Message);
            }
            catch (StateStoreException error)
            {
                throw new ComponentException($"Component {definition.Name} ({definition.Type}, {definition.Source}): {error.Message}", error);
            }
        }

        ActorStore = FindActorStore();
    }

    /// <summary>The app that sees them.</summary>
    public string AppId { get; }

    /// <summary>Whether this app sees any state component at all.</summary>
    public bool Any => _components.Count > 0;

    /// <summary>The component with metadata <c>actorStateStore: "true"</c>, or null.</summary>
    public IStateStore? ActorStore { get; }

    /// <summary>The store of a component, or null where this app sees no such state component.</summary>
    public IStateStore? Find(string name) => _components.GetValueOrDefault(name)?.Store;

    /// <summary>The component with its key prefix, or null where this app sees no such state component.</summary>
    public StateComponent? FindComponent(string name) => _components.GetValueOrDefault(name);

    private static IStateStore Open(ComponentDefinition definition, SidecarContext context)
    {
        if (definition.Type == ComponentTypes.StateInMemory)
        {
            return context.Shared.GetOrAdd($"{definition.Type}:{definition.Name}", () => new InMemoryStateStore(context.Clock));
        }

        if (SqliteStateOptions.IsInMemory(definition))
        {
            return context.Shared.GetOrAdd($"{definition.Type}::memory:{definition.Name}", () => new InMemoryStateStore(context.Clock));
        }

        SqliteStateOptions options = SqliteStateOptions.From(definition, context.Options.DataDirectory);
        return context.Shared.GetOrAdd(
            $"{definition.Type}:{options.Path}:{options.TableName}", () => SqliteStateStore.Open(options, context.Clock));
    }

    private IStateStore? FindActorStore()
    {
        StateComponent[] actorStores = [.. _components.Values.Where(component => component.Definition.IsTrue("actorStateStore"))];
        return actorStores.Length > 1
            ? throw new ComponentException(
                $"Components {string.Join(" and ", actorStores.Select(component => component.Definition.Name))} both say actorStateStore; there can be one.")
            : actorStores.FirstOrDefault()?.Store;
    }
}
