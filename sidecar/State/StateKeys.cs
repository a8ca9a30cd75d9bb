using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>
/// Prefixes keys by a component's <c>keyPrefix</c>: <c>appid</c> (default), <c>namespace</c>, <c>name</c>, <c>none</c>, or
/// any other text as it is. Prefix and key are joined by <c>||</c>, which neither may contain.
/// </summary>
public sealed class StateKeys
{
    private const string Separator = "||";
    private readonly string _prefix;

    private StateKeys(string prefix) => _prefix = prefix;

    /// <exception cref="ComponentException">The prefix contains the separator.</exception>
    public static StateKeys From(ComponentDefinition component, SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(component);
        ArgumentNullException.ThrowIfNull(context);
        string strategy = component.Find("keyPrefix")?.ToLowerInvariant() ?? "appid";
        if (strategy.Contains(Separator, StringComparison.Ordinal)) throw component.Invalid("keyPrefix", strategy, "without '||'");

        string appId = context.AppId;
        return new StateKeys(strategy switch
        {
            "none" => "",
            "name" => component.Name + Separator,
            "appid" => appId + Separator,
            "namespace" when string.IsNullOrEmpty(context.Options.Namespace) => appId + Separator,
            "namespace" => context.Options.Namespace + "." + appId + Separator,
            _ => strategy + Separator,
        });
    }

    /// <summary>The key as the store holds it.</summary>
    /// <exception cref="DaprApiException"><c>ERR_MALFORMED_REQUEST</c>: the key contains the separator.</exception>
    public string Full(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return key.Contains(Separator, StringComparison.Ordinal) ? throw StateErrors.IllegalKey(key) : _prefix + key;
    }
}
