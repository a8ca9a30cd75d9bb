using System.Collections.Concurrent;
using Mesh.Sidecar.Components;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Resiliency;

/// <summary>What a component is, for the default policies that name a kind.</summary>
public enum ComponentKind
{
    Statestore,
    PubSub,
    Binding,
    Secretstore,
    Configuration,
    Lock,
}

/// <summary>Policies by what they are for. Thread-safe.</summary>
public interface IPolicyProvider
{
    /// <summary>Calls of the sidecar to a component, e.g. publishing.</summary>
    ResiliencyPolicy ComponentOutbound(string component, ComponentKind kind);

    /// <summary>Calls of the sidecar to its app on behalf of a component, e.g. delivering.</summary>
    ResiliencyPolicy ComponentInbound(string component, ComponentKind kind);

    /// <summary>Invocation of another app.</summary>
    ResiliencyPolicy App(string appId);

    /// <summary>Invocation of an actor of a type.</summary>
    ResiliencyPolicy Actor(string actorType);
}

/// <summary>
/// The Resiliency documents that an app sees, put together: named policies of the targets, else the default policies from the
/// most specific to the most general, for timeout, retry and breaker each on its own.
/// </summary>
public sealed class ResiliencyConfiguration : IPolicyProvider
{
    private readonly Dictionary<string, TimeSpan> _timeouts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, RetryPolicy> _retries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, CircuitBreakerPolicy> _breakers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TargetPolicies> _targets = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, ResiliencyPolicy> _built = new(StringComparer.Ordinal);
    private readonly TimeProvider _clock;

    /// <exception cref="ComponentException">A document cannot be used; the message names file, policy and rule.</exception>
    public ResiliencyConfiguration(IEnumerable<ResourceDocument> documents, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(documents);
        _clock = clock;
        foreach (ResourceDocument document in documents)
        {
            var reader = new ResiliencyReader(document);
            reader.Read(_timeouts, _retries, _breakers, _targets);
        }

        CheckReferences();
    }

    /// <summary>The configuration of a sidecar: its resource folders' documents of kind Resiliency, less those scoped to other apps.</summary>
    public static ResiliencyConfiguration Of(SidecarContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new ResiliencyConfiguration(context.Resources.OfKind("Resiliency").Where(document => document.IsVisibleTo(context.AppId)), context.Clock);
    }

    public ResiliencyPolicy ComponentOutbound(string component, ComponentKind kind) =>
        Build($"components/{component}/outbound", [$"{NameOf(kind)}ComponentOutbound", "ComponentOutbound", "Component", ""]);

    public ResiliencyPolicy ComponentInbound(string component, ComponentKind kind) =>
        Build($"components/{component}/inbound", [$"{NameOf(kind)}ComponentInbound", "ComponentInbound", "Component", ""]);

    public ResiliencyPolicy App(string appId) => Build($"apps/{appId}", ["App", ""]);

    public ResiliencyPolicy Actor(string actorType) => Build($"actors/{actorType}", ["Actor", ""]);

    private static string NameOf(ComponentKind kind) => kind == ComponentKind.PubSub ? "Pubsub" : kind.ToString();

    private ResiliencyPolicy Build(string target, string[] levels) => _built.GetOrAdd($"{target}?{levels[0]}", _ =>
    {
        // A target that is named relies solely on what it names.
        TargetPolicies? named = _targets.GetValueOrDefault(target);
        string? timeout = named is null ? Default(levels, "Default{0}TimeoutPolicy", _timeouts.ContainsKey) : named.Timeout;
        string? retry = named is null ? Default(levels, "Default{0}RetryPolicy", _retries.ContainsKey) : named.Retry;
        string? breaker = named is null ? Default(levels, "Default{0}CircuitBreakerPolicy", _breakers.ContainsKey) : named.CircuitBreaker;
        return new ResiliencyPolicy(
            target,
            timeout is null ? null : _timeouts[timeout],
            retry is null ? null : _retries[retry],
            breaker is null ? null : new CircuitBreaker($"{target}/{breaker}", _breakers[breaker], _clock),
            new Random(HashCode.Combine(target)),
            _clock);
    });

    private static string? Default(string[] levels, string template, Func<string, bool> exists) =>
        Array.Find([.. levels.Select(level => template.Replace("{0}", level, StringComparison.Ordinal))], name => exists(name));

    private void CheckReferences()
    {
        foreach ((string target, TargetPolicies policies) in _targets)
        {
            Check(target, "timeout", policies.Timeout, _timeouts.Keys, policies.Source);
            Check(target, "retry", policies.Retry, _retries.Keys, policies.Source);
            Check(target, "circuitBreaker", policies.CircuitBreaker, _breakers.Keys, policies.Source);
        }
    }

    private static void Check(string target, string kind, string? name, IReadOnlyCollection<string> known, string source)
    {
        if (name is not null && !known.Contains(name))
        {
            throw new ComponentException($"{source}: target {target} names {kind} '{name}', which spec.policies does not define. Defined: {string.Join(", ", known)}.");
        }
    }
}

/// <summary>Policies that a target names; null = none of that sort.</summary>
internal sealed record TargetPolicies(string? Timeout, string? Retry, string? CircuitBreaker, string Source);
