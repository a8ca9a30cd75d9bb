using Mesh.SequenceStore.Storage;

namespace Mesh.SequenceStore.Tests;

/// <summary>
/// The state API in a dictionary. It copies what goes in and out, and can fail a transaction before or after applying it, as a
/// sidecar does that dies before or after the commit.
/// </summary>
internal sealed class InMemoryUserState : IUserStateStore
{
    private readonly Dictionary<string, byte[]> _values = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    public enum Fault
    {
        None,
        BeforeCommit,
        AfterCommit,
    }

    /// <summary>What happens to the next transaction; it happens once.</summary>
    public Fault NextTransaction { get; set; }

    /// <summary>Runs before each read, with the keys asked for.</summary>
    public Func<IReadOnlyCollection<string>, Task>? BeforeGet { get; set; }

    /// <summary>Runs after each transaction that was applied.</summary>
    public Action<IReadOnlyCollection<KeyValuePair<string, byte[]?>>>? AfterTransaction { get; set; }

    public List<IReadOnlyCollection<string>> Gets { get; } = [];

    public IReadOnlyCollection<string> Keys
    {
        get
        {
            lock (_lock) return [.. _values.Keys];
        }
    }

    public async Task<IReadOnlyDictionary<string, byte[]>> GetAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (BeforeGet is { } before) await before(keys);
        lock (_lock)
        {
            Gets.Add(keys);
            return keys.Where(_values.ContainsKey).Distinct().ToDictionary(key => key, key => _values[key].ToArray(), StringComparer.Ordinal);
        }
    }

    public Task TransactAsync(IReadOnlyCollection<KeyValuePair<string, byte[]?>> writes, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        Fault fault = NextTransaction;
        NextTransaction = Fault.None;
        if (fault == Fault.BeforeCommit) throw new IOException("The sidecar was gone before the commit.");

        lock (_lock)
        {
            foreach ((string key, byte[]? value) in writes)
            {
                if (value is null) _values.Remove(key);
                else if (value.Length == 0) throw new InvalidOperationException($"{key}: the state API cannot tell an empty value from none.");
                else _values[key] = value.ToArray();
            }
        }

        AfterTransaction?.Invoke(writes);
        if (fault == Fault.AfterCommit) throw new IOException("The sidecar was gone after the commit.");
        return Task.CompletedTask;
    }
}
