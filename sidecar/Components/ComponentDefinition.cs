namespace Mesh.Sidecar.Components;

/// <summary>One Dapr component as its YAML declares it, after secrets, environment references and templates are resolved.</summary>
public sealed record ComponentDefinition(string Name, string Type, string Version)
{
    /// <summary>Metadata by name, case-insensitive as Dapr's component libraries read it.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>App-ids that may use it; empty = all.</summary>
    public IReadOnlyList<string> Scopes { get; init; } = [];

    /// <summary>File it came from, for messages.</summary>
    public string Source { get; init; } = "";

    public bool IsVisibleTo(string appId) => Scopes.Count == 0 || Scopes.Contains(appId, StringComparer.Ordinal);
}
