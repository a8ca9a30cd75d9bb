using Mesh.Hosting;

namespace Mesh.SequenceStore.Storage;

/// <summary>The state API of this service's sidecar.</summary>
internal sealed class SidecarUserState(SidecarState state) : IUserStateStore
{
    public async Task<IReadOnlyDictionary<string, byte[]>> GetAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation) =>
        await state.GetBulkAsync(keys, cancellation);

    public Task TransactAsync(IReadOnlyCollection<KeyValuePair<string, byte[]?>> writes, CancellationToken cancellation) =>
        state.TransactAsync(writes, cancellation);
}
