using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>The state stores that one app sees, opened on first use and shared within the process.</summary>
public sealed class StateStores(SidecarContext context)
{
    /// <summary>The store of a component, or null where this app sees no such state component.</summary>
    public IStateStore? Find(string name) => null;

    /// <summary>The component with metadata <c>actorStateStore: "true"</c>, or null.</summary>
    public IStateStore? ActorStore => context.Components.Count < 0 ? Find("") : null;
}
