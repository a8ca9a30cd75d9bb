using System.Globalization;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>One operation of a request, as either face states it, before key prefix and options are worked out.</summary>
internal sealed record StateOperation(string Key)
{
    /// <summary>
    /// The value of a delete. In <c>condition ? null : bytes</c> C# would take null for an empty array, and so for a value.
    /// </summary>
    public static readonly ReadOnlyMemory<byte>? NoValue;

    /// <summary>Null = delete.</summary>
    public ReadOnlyMemory<byte>? Value { get; init; }

    public bool IsJson { get; init; }

    public string? ETag { get; init; }

    public string Concurrency { get; init; } = "";

    public string Consistency { get; init; } = "";

    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();
}

/// <summary>The state API of one store, under its two faces: prefixes keys, checks options, names errors.</summary>
internal sealed class StateApi(StateComponent store)
{
    /// <exception cref="DaprApiException">There is no such component.</exception>
    public static StateApi Of(StateStores stores, string name) => stores.FindComponent(name) is { } component
        ? new StateApi(component)
        : throw (stores.Any ? StateErrors.NotFound(name, stores.AppId) : StateErrors.NotConfigured(name, stores.AppId));

    public async Task<StateItem?> GetAsync(string key, string consistency, CancellationToken cancellation)
    {
        string full = store.Keys.Full(key);
        try
        {
            if (key.Length == 0) throw new StateStoreException("missing key in get operation");
            CheckConsistency(consistency);
            return await store.Store.GetAsync(full, cancellation);
        }
        catch (StateStoreException error)
        {
            throw StateErrors.Get(store.Definition.Name, key, error.Message);
        }
    }

    public async Task<IReadOnlyList<StateItem?>> GetBulkAsync(IEnumerable<string> keys, CancellationToken cancellation)
    {
        List<string> full = [.. keys.Select(store.Keys.Full)];
        try
        {
            return await store.Store.GetBulkAsync(full, cancellation);
        }
        catch (StateStoreException error)
        {
            throw StateErrors.BulkGet(error.Message);
        }
    }

    /// <summary>
    /// Saves each item for itself: one that conflicts leaves the others saved, and the call fails. The store takes them in
    /// order and commits them together.
    /// </summary>
    public Task SaveAsync(IReadOnlyList<StateOperation> operations, CancellationToken cancellation) =>
        WriteEachAsync(operations, error => StateErrors.Save(store.Definition.Name, error), cancellation);

    public Task DeleteAsync(StateOperation operation, CancellationToken cancellation) =>
        WriteEachAsync([operation], error => StateErrors.Delete(operation.Key, error), cancellation);

    /// <inheritdoc cref="SaveAsync"/>
    public Task DeleteBulkAsync(IReadOnlyList<StateOperation> operations, CancellationToken cancellation) =>
        WriteEachAsync(operations, error => StateErrors.BulkDelete(store.Definition.Name, error), cancellation);

    /// <summary>All or nothing.</summary>
    public async Task TransactAsync(IReadOnlyList<StateOperation> operations, CancellationToken cancellation)
    {
        List<string> keys = [.. operations.Select(operation => store.Keys.Full(operation.Key))];
        try
        {
            await store.Store.WriteAsync([.. operations.Select((operation, i) => ToWrite(operation, keys[i]))], cancellation);
        }
        catch (Exception error) when (error is StateStoreException or StateConflictException)
        {
            throw StateErrors.Transaction(error);
        }
    }

    private async Task WriteEachAsync(
        IReadOnlyList<StateOperation> operations, Func<Exception, DaprApiException> failed, CancellationToken cancellation)
    {
        List<string> keys = [.. operations.Select(operation => store.Keys.Full(operation.Key))];
        try
        {
            StateWrite[] writes = [.. operations.Select((operation, i) => ToWrite(operation, keys[i]))];
            await Task.WhenAll([.. writes.Select(write => store.Store.WriteAsync([write], cancellation))]);
        }
        catch (Exception error) when (error is StateStoreException or StateConflictException)
        {
            throw failed(error);
        }
    }

    private static StateWrite ToWrite(StateOperation operation, string key)
    {
        if (operation.Key.Length == 0) throw new StateStoreException($"missing key in {(operation.Value is null ? "delete" : "set")} operation");
        CheckConsistency(operation.Consistency);
        if (operation.Concurrency is not ("" or "first-write" or "last-write"))
        {
            throw new StateStoreException($"unrecognized concurrency model '{operation.Concurrency}'");
        }

        return new StateWrite(
            key, operation.Value, string.IsNullOrEmpty(operation.ETag) ? null : operation.ETag, operation.Concurrency == "first-write",
            operation.Value is null ? null : Ttl(operation.Metadata), operation.IsJson);
    }

    private static void CheckConsistency(string consistency)
    {
        if (consistency is not ("" or "strong" or "eventual")) throw new StateStoreException($"unrecognized consistency model '{consistency}'");
    }

    // -1 and 0 mean no expiry, as in Dapr's SQL stores.
    private static TimeSpan? Ttl(IReadOnlyDictionary<string, string> metadata)
    {
        if (!metadata.TryGetValue("ttlInSeconds", out string? text) || text.Length == 0) return null;
        if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int seconds) || seconds < -1)
        {
            throw new StateStoreException($"error parsing TTL: incorrect value for metadata 'ttlInSeconds': '{text}' must be a whole number, -1 or greater");
        }

        return seconds > 0 ? TimeSpan.FromSeconds(seconds) : null;
    }
}
