using Mesh.Sidecar.State;

namespace Mesh.Sidecar.Tests.State;

public sealed class InMemoryStateStoreTests : StateStoreSuite
{
    protected override Task<IStateStore> OpenAsync() => Task.FromResult<IStateStore>(new InMemoryStateStore(Clock));

    protected override Task CloseAsync() => Task.CompletedTask;

    [Fact]
    public async Task The_store_keeps_its_own_copy_of_a_value()
    {
        byte[] buffer = Bytes("before");
        await Store.WriteAsync([new StateWrite("k", buffer)], default);
        buffer[0] = (byte)'X';

        Assert.Equal("before", await TextAsync("k"));
    }
}
