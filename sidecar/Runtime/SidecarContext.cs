using Mesh.Sidecar.Components;

namespace Mesh.Sidecar.Runtime;

/// <summary>What the building blocks of one sidecar share.</summary>
public sealed class SidecarContext
{
    public required SidecarOptions Options { get; init; }

    /// <summary>Components visible to this app.</summary>
    public required IReadOnlyList<ComponentDefinition> Components { get; init; }

    /// <summary>The process around it: other sidecars of the same host, component instances shared with them.</summary>
    public required SharedRuntime Shared { get; init; }

    /// <summary>The app behind this sidecar; null where there is none.</summary>
    public required AppChannel? App { get; init; }

    public required ILoggerFactory Loggers { get; init; }

    public required TimeProvider Clock { get; init; }

    public string AppId => Options.AppId;
}
