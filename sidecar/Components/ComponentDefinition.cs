using System.Globalization;

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

    /// <summary>Whether the sidecar starts without this component where it cannot be opened (<c>spec.ignoreErrors</c>).</summary>
    public bool IgnoreErrors { get; init; }

    public bool IsVisibleTo(string appId) => Scopes.Count == 0 || Scopes.Contains(appId, StringComparer.Ordinal);

    /// <summary>Value of the first of these names that is set and not empty; null where none is.</summary>
    public string? Find(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (Metadata.TryGetValue(name, out string? value) && value.Length > 0) return value;
        }

        return null;
    }

    /// <summary>Whether the value reads as true the way Dapr takes it: y, yes, true, t, on, 1.</summary>
    public bool IsTrue(string name) => Find(name)?.Trim().ToLowerInvariant() is "y" or "yes" or "true" or "t" or "on" or "1";

    /// <summary>A whole number, or <paramref name="fallback"/> where it is not set.</summary>
    /// <exception cref="ComponentException">It is set to something else.</exception>
    public int GetInt(string name, int fallback) => Find(name) is not { } text ? fallback
        : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) ? value
        : throw Invalid(name, text, "a whole number");

    /// <summary>A duration as Go writes it ("20s", "1h30m"), a plain number meaning seconds; or <paramref name="fallback"/>.</summary>
    /// <exception cref="ComponentException">It is set to something else.</exception>
    public TimeSpan GetDuration(string name, TimeSpan fallback) => Find(name) is not { } text ? fallback
        : GoDuration.TryParse(text, out TimeSpan value) ? value
        : throw Invalid(name, text, "a duration such as 20s or 1h30m");

    /// <summary>A value that cannot be used, told with component, type, file and rule.</summary>
    public ComponentException Invalid(string name, string value, string rule) =>
        new($"Component {Name} ({Type}, {Source}): metadata '{name}' is '{value}', it must be {rule}.");
}

/// <summary>A component or resource file that cannot be used. The message names the file, the component and what to do.</summary>
public sealed class ComponentException(string message, Exception? inner = null) : Exception(message, inner);
