namespace Mesh.SequenceStore.Storage;

/// <summary>The state API as this service needs it: the edge of the process.</summary>
internal interface IUserStateStore
{
    /// <summary>Values of many keys in one round trip; keys without a value are left out.</summary>
    Task<IReadOnlyDictionary<string, byte[]>> GetAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation);

    /// <summary>Sets and deletes (null) keys: all or nothing. When it throws, the outcome is unknown.</summary>
    Task TransactAsync(IReadOnlyCollection<KeyValuePair<string, byte[]?>> writes, CancellationToken cancellation);
}
