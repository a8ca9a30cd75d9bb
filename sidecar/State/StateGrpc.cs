using System.Text.Json;
using System.Text.Unicode;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Mesh.Sidecar.Runtime;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.State;

/// <summary>The state API over gRPC. Values are bytes.</summary>
internal sealed class StateGrpc(StateStores stores)
{
    private const string TtlExpireTime = "ttlExpireTime";

    public void Bind(GrpcBinder grpc)
    {
        grpc.Unary<Wire.GetStateRequest, Wire.GetStateResponse>("GetState", Get);
        grpc.Unary<Wire.GetBulkStateRequest, Wire.GetBulkStateResponse>("GetBulkState", GetBulk);
        grpc.Unary<Wire.SaveStateRequest, Empty>("SaveState", Save);
        grpc.Unary<Wire.DeleteStateRequest, Empty>("DeleteState", Delete);
        grpc.Unary<Wire.DeleteBulkStateRequest, Empty>("DeleteBulkState", DeleteBulk);
        grpc.Unary<Wire.ExecuteStateTransactionRequest, Empty>("ExecuteStateTransaction", Transact);
        grpc.Unary<Wire.QueryStateRequest, Wire.QueryStateResponse>("QueryStateAlpha1", Query);
    }

    private StateApi Store(string name) => StateApi.Of(stores, name);

    private async Task<Wire.GetStateResponse> Get(Wire.GetStateRequest request, ServerCallContext call)
    {
        StateItem? item = await Store(request.StoreName).GetAsync(request.Key, "", call.CancellationToken);
        var response = new Wire.GetStateResponse();
        if (item is null) return response;

        response.Data = UnsafeByteOperations.UnsafeWrap(item.Value);
        response.Etag = item.ETag;
        if (item.ExpiresAt is { } expires) response.Metadata[TtlExpireTime] = StateHttp.FormatTime(expires);
        return response;
    }

    private async Task<Wire.GetBulkStateResponse> GetBulk(Wire.GetBulkStateRequest request, ServerCallContext call)
    {
        IReadOnlyList<StateItem?> items = await Store(request.StoreName).GetBulkAsync(request.Keys, call.CancellationToken);
        var response = new Wire.GetBulkStateResponse();
        for (int i = 0; i < items.Count; i++)
        {
            var found = new Wire.BulkStateItem { Key = request.Keys[i] };
            if (items[i] is { } item)
            {
                found.Data = UnsafeByteOperations.UnsafeWrap(item.Value);
                found.Etag = item.ETag;
                if (item.ExpiresAt is { } expires) found.Metadata[TtlExpireTime] = StateHttp.FormatTime(expires);
            }

            response.Items.Add(found);
        }

        return response;
    }

    private async Task<Empty> Save(Wire.SaveStateRequest request, ServerCallContext call)
    {
        StateApi store = Store(request.StoreName);
        if (request.States.Any(state => state.Key.Length == 0)) throw StateErrors.EmptyKey();

        if (request.States.Count > 0) await store.SaveAsync([.. request.States.Select(state => ToOperation(state, isDelete: false))], call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> Delete(Wire.DeleteStateRequest request, ServerCallContext call)
    {
        var operation = new StateOperation(request.Key)
        {
            ETag = request.Etag?.Value,
            Concurrency = Concurrency(request.Options),
            Metadata = request.Metadata,
        };
        await Store(request.StoreName).DeleteAsync(operation, call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> DeleteBulk(Wire.DeleteBulkStateRequest request, ServerCallContext call)
    {
        StateApi store = Store(request.StoreName);
        if (request.States.Count > 0) await store.DeleteBulkAsync([.. request.States.Select(state => ToOperation(state, isDelete: true))], call.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> Transact(Wire.ExecuteStateTransactionRequest request, ServerCallContext call)
    {
        StateApi store = Store(request.StoreName);
        List<StateOperation> operations =
        [
            .. request.Operations.Select(operation => operation.OperationType is "upsert" or "delete"
                ? ToOperation(operation.Request ?? new Wire.StateItem(), isDelete: operation.OperationType == "delete")
                : throw StateErrors.UnsupportedOperation(operation.OperationType, StatusCodes.Status500InternalServerError, StatusCode.Unimplemented)),
        ];
        if (operations.Count > 0) await store.TransactAsync(operations, call.CancellationToken);
        return new Empty();
    }

    private Task<Wire.QueryStateResponse> Query(Wire.QueryStateRequest request, ServerCallContext call)
    {
        Store(request.StoreName);
        throw StateErrors.QueryUnsupported();
    }

    private static StateOperation ToOperation(Wire.StateItem state, bool isDelete) => new(state.Key)
    {
        Value = isDelete ? StateOperation.NoValue : state.Value.Memory,
        IsJson = !isDelete && SaysJson(state),
        ETag = state.Etag?.Value,
        Concurrency = Concurrency(state.Options),
        Metadata = state.Metadata,
    };

    // Kept as readable text only where it is what it says.
    private static bool SaysJson(Wire.StateItem state)
    {
        if (!state.Metadata.TryGetValue("contentType", out string? type) || type != "application/json") return false;
        try
        {
            using JsonDocument parsed = JsonDocument.Parse(state.Value.Memory);
            return Utf8.IsValid(state.Value.Span) ? true : throw StateErrors.Malformed($"the value of '{state.Key}' is not valid UTF-8");
        }
        catch (JsonException error)
        {
            throw StateErrors.Malformed($"the value of '{state.Key}' is not the JSON that its contentType says: {error.Message}");
        }
    }

    private static string Concurrency(Wire.StateOptions? options) => options?.Concurrency switch
    {
        Wire.StateOptions.Types.StateConcurrency.ConcurrencyFirstWrite => "first-write",
        Wire.StateOptions.Types.StateConcurrency.ConcurrencyLastWrite => "last-write",
        _ => "",
    };
}
