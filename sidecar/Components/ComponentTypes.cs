namespace Mesh.Sidecar.Components;

/// <summary>The component types that the embedded sidecar implements.</summary>
public static class ComponentTypes
{
    public const string StateInMemory = "state.in-memory";
    public const string StateSqlite = "state.sqlite";
    public const string PubSubInMemory = "pubsub.in-memory";
    public const string PubSubSqlite = "pubsub.sqlite";
    public const string BindingLocalStorage = "bindings.localstorage";
    public const string SecretsLocalFile = "secretstores.local.file";
    public const string SecretsLocalEnv = "secretstores.local.env";

    public static IReadOnlyList<string> Supported { get; } =
    [
        StateInMemory, StateSqlite, PubSubInMemory, PubSubSqlite, BindingLocalStorage, SecretsLocalFile, SecretsLocalEnv,
    ];

    /// <exception cref="ComponentException">The type or its version is not implemented here.</exception>
    public static void Require(ComponentDefinition component)
    {
        ArgumentNullException.ThrowIfNull(component);
        if (!Supported.Contains(component.Type, StringComparer.Ordinal))
        {
            throw new ComponentException(
                $"Component {component.Name} ({component.Source}) is of type {component.Type}, which the embedded sidecar does not have. " +
                $"It has: {string.Join(", ", Supported)}. Use one of these, or run the mesh on the real daprd (--runtime dapr), which has them all.");
        }

        if (component.Version is not ("" or "v1"))
        {
            throw new ComponentException(
                $"Component {component.Name} ({component.Type}, {component.Source}) asks for version {component.Version}; there is v1.");
        }
    }
}
