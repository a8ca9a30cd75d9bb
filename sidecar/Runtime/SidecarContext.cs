using Mesh.Sidecar.Components;
using Mesh.Sidecar.Health;
using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Runtime;

/// <summary>What the building blocks of one sidecar share.</summary>
public sealed class SidecarContext
{
    private readonly Lazy<StateStores> _states;

    public SidecarContext() => _states = new Lazy<StateStores>(() => new StateStores(this));

    public required SidecarOptions Options { get; init; }

    /// <summary>Components visible to this app.</summary>
    public required IReadOnlyList<ComponentDefinition> Components { get; init; }

    /// <summary>All documents of the resource folders: Subscription, Resiliency and whatever else a block looks for.</summary>
    public ResourceFiles Resources { get; init; } = ResourceFiles.Empty;

    /// <summary>The process around it: other sidecars of the same host, component instances shared with them.</summary>
    public required SharedRuntime Shared { get; init; }

    /// <summary>The app behind this sidecar; null where there is none.</summary>
    public required AppChannel? App { get; init; }

    public required ILoggerFactory Loggers { get; init; }

    public required TimeProvider Clock { get; init; }

    /// <summary>State stores of the visible components, opened before the first building block is made.</summary>
    public StateStores States => _states.Value;

    /// <summary>Whether this sidecar is ready, and whether it has been asked to stop.</summary>
    public SidecarHealth Health { get; } = new();

    public string AppId => Options.AppId;
}
