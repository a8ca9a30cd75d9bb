using System.Text;
using Dapr;
using Dapr.Client;
using Grpc.Core;
using Grpc.Net.Client;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Tests.State;

/// <summary>The state API through the official .NET SDK, and what the SDK leaves out over plain gRPC.</summary>
public sealed class StateSdkTests : IAsyncLifetime
{
    private const string Store = "statestore";
    private SidecarHarness _sidecar = null!;

    private DaprClient Dapr => _sidecar.Dapr;

    public async Task InitializeAsync() => _sidecar = await SidecarHarness.StartAsync(SidecarHarness.SqliteState);

    public async Task DisposeAsync() => await _sidecar.DisposeAsync();

    [Fact]
    public async Task Objects_go_round()
    {
        await Dapr.SaveStateAsync(Store, "k", new Cart("ann", [1, 2]));

        Cart read = await Dapr.GetStateAsync<Cart>(Store, "k");

        Assert.Equal("ann", read.Owner);
        Assert.Equal([1, 2], read.Items);
        Assert.Null(await Dapr.GetStateAsync<Cart>(Store, "absent"));
    }

    [Fact]
    public async Task Raw_bytes_go_round_and_are_the_same_over_http()
    {
        byte[] bytes = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

        await Dapr.SaveByteStateAsync(Store, "k", bytes);

        Assert.Equal(bytes, (await Dapr.GetByteStateAsync(Store, "k")).ToArray());
        Assert.Equal(bytes, await _sidecar.Http.GetByteArrayAsync(new Uri("v1.0/state/statestore/k", UriKind.Relative)));
    }

    [Fact]
    public async Task What_the_sdk_saves_reads_as_json_over_http()
    {
        await Dapr.SaveStateAsync(Store, "k", new Cart("ann", [1]));

        Assert.Equal("""{"owner":"ann","items":[1]}""", (await _sidecar.Http.Get("v1.0/state/statestore/k")).Body);
    }

    [Fact]
    public async Task Try_save_and_try_delete_say_false_on_an_old_etag()
    {
        await Dapr.SaveStateAsync(Store, "k", 1);
        (_, string etag) = await Dapr.GetStateAndETagAsync<int>(Store, "k");

        bool current = await Dapr.TrySaveStateAsync(Store, "k", 2, etag);
        bool old = await Dapr.TrySaveStateAsync(Store, "k", 3, etag);
        bool deleted = await Dapr.TryDeleteStateAsync(Store, "k", etag);

        Assert.Equal((true, false, false), (current, old, deleted));
        Assert.Equal(2, await Dapr.GetStateAsync<int>(Store, "k"));
    }

    [Fact]
    public async Task Bulk_save_get_and_delete_go_together()
    {
        await Dapr.SaveBulkStateAsync<int>(Store, [new SaveStateItem<int>("a", 1, ""), new SaveStateItem<int>("b", 2, "")]);
        IReadOnlyList<BulkStateItem> read = await Dapr.GetBulkStateAsync(Store, ["a", "b", "absent"], parallelism: 4);
        await Dapr.DeleteBulkStateAsync(Store, [new BulkDeleteStateItem("a", ""), new BulkDeleteStateItem("b", "")]);

        Assert.Equal(["a=1", "absent=", "b=2"], read.Select(item => $"{item.Key}={item.Value}").Order(StringComparer.Ordinal));
        (_, string etag) = await Dapr.GetStateAndETagAsync<int>(Store, "a");
        Assert.Empty(etag);
    }

    [Fact]
    public async Task A_transaction_is_all_or_nothing()
    {
        await Dapr.SaveStateAsync(Store, "gone", 1);

        await Dapr.ExecuteStateTransactionAsync(Store,
            [new StateTransactionRequest("a", Encoding.UTF8.GetBytes("1"), StateOperationType.Upsert), new StateTransactionRequest("gone", null, StateOperationType.Delete)]);
        var failed = await Assert.ThrowsAsync<DaprException>(() => Dapr.ExecuteStateTransactionAsync(Store,
            [new StateTransactionRequest("b", Encoding.UTF8.GetBytes("1"), StateOperationType.Upsert), new StateTransactionRequest("a", null, StateOperationType.Delete, etag: "old")]));

        Assert.Equal(StatusCode.Internal, Assert.IsType<RpcException>(failed.InnerException).StatusCode);
        Assert.Equal((1, 0), (await Dapr.GetStateAsync<int>(Store, "a"), await Dapr.GetStateAsync<int>(Store, "b")));
        (_, string etag) = await Dapr.GetStateAndETagAsync<int>(Store, "gone");
        Assert.Empty(etag);
    }

    [Fact]
    public async Task Errors_carry_the_documented_grpc_status()
    {
        using GrpcChannel channel = GrpcChannel.ForAddress(_sidecar.Main.GrpcEndpoint);
        var wire = new Wire.Dapr.DaprClient(channel);
        await Dapr.SaveStateAsync(Store, "k", 1);

        Assert.Equal(StatusCode.InvalidArgument, await StatusAsync(() => wire.GetStateAsync(new() { StoreName = "other", Key = "k" })));
        Assert.Equal(StatusCode.InvalidArgument, await StatusAsync(() => wire.GetStateAsync(new() { StoreName = Store, Key = "a||b" })));
        Assert.Equal(StatusCode.Aborted, await StatusAsync(() => wire.DeleteStateAsync(new() { StoreName = Store, Key = "k", Etag = new() { Value = "old" } })));
        Assert.Equal(StatusCode.Aborted, await StatusAsync(() => wire.SaveStateAsync(
            new() { StoreName = Store, States = { new Wire.StateItem { Key = "k", Etag = new() { Value = "old" } } } })));
        Assert.Equal(StatusCode.Unimplemented, await StatusAsync(() => wire.ExecuteStateTransactionAsync(
            new() { StoreName = Store, Operations = { new Wire.TransactionalStateOperation { OperationType = "increment", Request = new() { Key = "k" } } } })));
        Assert.Equal(StatusCode.Unimplemented, await StatusAsync(() => wire.GetConfigurationAsync(new() { StoreName = "none" })));
    }

    [Fact]
    public async Task A_value_that_says_json_must_be_json()
    {
        var json = new Dictionary<string, string> { ["contentType"] = "application/json" };

        await Dapr.SaveByteStateAsync(Store, "k", "{\"a\":1}"u8.ToArray(), metadata: json);
        var refused = await Assert.ThrowsAsync<DaprException>(() => Dapr.SaveByteStateAsync(Store, "k", new byte[] { 0x22, 0xFF, 0x22 }, metadata: json));

        Assert.Equal("{\"a\":1}"u8.ToArray(), (await Dapr.GetByteStateAsync(Store, "k")).ToArray());
        Assert.IsType<RpcException>(refused.InnerException);
    }

    [Fact]
    public async Task A_ttl_comes_back_as_metadata()
    {
        using GrpcChannel channel = GrpcChannel.ForAddress(_sidecar.Main.GrpcEndpoint);
        var wire = new Wire.Dapr.DaprClient(channel);
        await Dapr.SaveStateAsync(Store, "k", 1, metadata: new Dictionary<string, string> { ["ttlInSeconds"] = "60" });

        Wire.GetStateResponse single = await wire.GetStateAsync(new() { StoreName = Store, Key = "k" });
        Wire.GetBulkStateResponse bulk = await wire.GetBulkStateAsync(new() { StoreName = Store, Keys = { "k" } });

        Assert.EndsWith("Z", single.Metadata["ttlExpireTime"], StringComparison.Ordinal);
        Assert.Equal(single.Metadata["ttlExpireTime"], bulk.Items[0].Metadata["ttlExpireTime"]);
        Assert.Equal(single.Etag, bulk.Items[0].Etag);
    }

    private static async Task<StatusCode> StatusAsync<T>(Func<AsyncUnaryCall<T>> call)
    {
        try
        {
            await call();
            return StatusCode.OK;
        }
        catch (RpcException error)
        {
            return error.StatusCode;
        }
    }

    private sealed record Cart(string Owner, int[] Items);
}
