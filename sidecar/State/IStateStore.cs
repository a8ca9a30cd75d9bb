namespace Mesh.Sidecar.State;

/// <summary>A value with its ETag. The value is opaque bytes.</summary>
public sealed record StateItem(ReadOnlyMemory<byte> Value, string ETag, DateTimeOffset? ExpiresAt = null);

/// <summary>One write: an upsert, or a delete where <see cref="Value"/> is null.</summary>
/// <param name="Key">Full key, prefix included.</param>
/// <param name="ETag">Must equal the stored one, else <see cref="StateConflictException"/>; null = do not check.</param>
/// <param name="FirstWrite">Fails where the key exists and no ETag was given (concurrency first-write).</param>
/// <param name="Ttl">Time to live, whole seconds; null = for ever.</param>
/// <param name="IsJson">The value is JSON text. Stores that others read with their own tools may keep it readable.</param>
public sealed record StateWrite(
    string Key, ReadOnlyMemory<byte>? Value, string? ETag = null, bool FirstWrite = false, TimeSpan? Ttl = null, bool IsJson = false)
{
    /// <summary>A delete. Safer than a null array, which C# converts to an empty value and not to none.</summary>
    public static StateWrite Delete(string key, string? etag = null) => new(key, null, etag);
}

/// <summary>An ETag did not match, or a first write found the key taken.</summary>
public sealed class StateConflictException(string key, string message) : Exception(message)
{
    public string Key => key;
}

/// <summary>The store could not do it: disk full, locked by another process, closed. Nothing was written.</summary>
public sealed class StateStoreException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// A key-value store behind the state API and actor state. Thread-safe. A write that has returned survives kill -9 where
/// the store is durable. Expired values are never returned.
/// </summary>
public interface IStateStore
{
    Task<StateItem?> GetAsync(string key, CancellationToken cancellation);

    /// <summary>Values in the order of the keys; null where there is none.</summary>
    Task<IReadOnlyList<StateItem?>> GetBulkAsync(IReadOnlyList<string> keys, CancellationToken cancellation);

    /// <summary>All or nothing, in order. Calls made one after the other take effect in that order, awaited or not.</summary>
    /// <exception cref="StateConflictException">An ETag did not match; nothing was written.</exception>
    /// <exception cref="StateStoreException">The store failed; nothing was written.</exception>
    Task WriteAsync(IReadOnlyList<StateWrite> writes, CancellationToken cancellation);

    /// <summary>Keys with a prefix, ascending (ordinal): how the sidecar finds reminders after a restart. Not part of the state API.</summary>
    Task<IReadOnlyList<string>> KeysAsync(string prefix, CancellationToken cancellation);
}
