using System.Collections.Concurrent;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// What sidecars in one process share: component instances (two apps of one host see the same in-memory broker, and open a
/// SQLite file once) and who is where. A sidecar that runs alone has a runtime to itself.
/// </summary>
public sealed class SharedRuntime : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, Lazy<object>> _instances = new(StringComparer.Ordinal);

    /// <summary>Sidecars of this process by app-id: name resolution for invocation and actors. Written at start and stop.</summary>
    public ConcurrentDictionary<string, SidecarServer> Sidecars { get; } = new(StringComparer.Ordinal);

    /// <summary>The one instance for a key, made on first use. The key names type and address, e.g. "state.sqlite:/data/state.db".</summary>
    public T GetOrAdd<T>(string key, Func<T> make) where T : class =>
        (T)_instances.GetOrAdd(key, _ => new Lazy<object>(make)).Value;

    public async ValueTask DisposeAsync()
    {
        foreach (Lazy<object> instance in _instances.Values.Where(instance => instance.IsValueCreated))
        {
            if (instance.Value is IAsyncDisposable asyncDisposable) await asyncDisposable.DisposeAsync();
            else if (instance.Value is IDisposable disposable) disposable.Dispose();
        }
    }
}
