namespace Mesh.SequenceStore.Writing;

/// <summary>
/// Writes to the directory of users, in turn with every other write to the same bucket. The edge to the actors. A call that
/// throws has an unknown outcome and can be repeated.
/// </summary>
internal interface IDirectoryWriter
{
    Task AddAsync(string user, CancellationToken cancellation);

    Task RemoveAsync(string user, CancellationToken cancellation);
}
