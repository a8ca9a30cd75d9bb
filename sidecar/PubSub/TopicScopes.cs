namespace Mesh.Sidecar.PubSub;

/// <summary>
/// Which topics of a component this app may use: metadata <c>allowedTopics</c>, <c>protectedTopics</c>,
/// <c>publishingScopes</c> and <c>subscriptionScopes</c>, as Dapr reads them.
/// </summary>
internal sealed class TopicScopes
{
    private readonly HashSet<string> _allowed;
    private readonly HashSet<string> _protected;
    private readonly HashSet<string>? _publishing;
    private readonly HashSet<string>? _subscription;

    public TopicScopes(string appId, IReadOnlyDictionary<string, string> metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        _allowed = Topics(metadata.GetValueOrDefault("allowedTopics"));
        _protected = Topics(metadata.GetValueOrDefault("protectedTopics"));
        _publishing = OfApp(appId, metadata.GetValueOrDefault("publishingScopes"));
        _subscription = OfApp(appId, metadata.GetValueOrDefault("subscriptionScopes"));
    }

    public bool MayPublish(string topic) => Allows(topic, _publishing);

    public bool MaySubscribe(string topic) => Allows(topic, _subscription);

    private bool Allows(string topic, HashSet<string>? scope)
    {
        if (_allowed.Count > 0 && !_allowed.Contains(topic)) return false;
        // An app that is not listed may use every topic that is not protected; one listed, only what its list names.
        return scope is null ? !_protected.Contains(topic) : scope.Contains(topic);
    }

    private static HashSet<string>? OfApp(string appId, string? scopes)
    {
        HashSet<string>? topics = null;
        foreach (string entry in (scopes ?? "").Replace(" ", "", StringComparison.Ordinal).Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = entry.Split('=');
            if (parts.Length >= 2 && parts[0] == appId) (topics ??= new HashSet<string>(StringComparer.Ordinal)).UnionWith(Topics(parts[1]));
        }

        return topics;
    }

    private static HashSet<string> Topics(string? list) =>
        new((list ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), StringComparer.Ordinal);
}
