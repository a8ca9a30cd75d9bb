using Grpc.Core;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.State;

/// <summary>The state API's errors, by the codes and texts of Dapr's API reference.</summary>
internal static class StateErrors
{
    public static DaprApiException NotConfigured(string store, string appId) =>
        new(StatusCodes.Status500InternalServerError, "ERR_STATE_STORE_NOT_CONFIGURED", $"state store {store} is not configured", StatusCode.FailedPrecondition)
        {
            Reason = "DAPR_STATE_NOT_CONFIGURED",
            ReasonMetadata = new Dictionary<string, string> { ["appID"] = appId },
        };

    public static DaprApiException NotFound(string store, string appId) =>
        new(StatusCodes.Status400BadRequest, "ERR_STATE_STORE_NOT_FOUND", $"state store {store} is not found", StatusCode.InvalidArgument)
        {
            Reason = "DAPR_STATE_NOT_FOUND",
            ReasonMetadata = new Dictionary<string, string> { ["appID"] = appId },
        };

    public static DaprApiException IllegalKey(string key) =>
        new(StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", $"input key/keyPrefix '{key}' can't contain '||'", StatusCode.InvalidArgument)
        {
            Reason = "DAPR_STATE_ILLEGAL_KEY",
        };

    public static DaprApiException Malformed(string detail) =>
        new(StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", detail, StatusCode.InvalidArgument);

    public static DaprApiException EmptyKey() =>
        new(StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", "\"key\" is a required field", StatusCode.InvalidArgument);

    public static DaprApiException Get(string store, string key, string detail) =>
        new(StatusCodes.Status500InternalServerError, "ERR_STATE_GET", $"fail to get {key} from state store {store}: {detail}", StatusCode.Internal);

    public static DaprApiException BulkGet(string detail) =>
        new(StatusCodes.Status500InternalServerError, "ERR_STATE_BULK_GET", detail, StatusCode.Internal);

    public static DaprApiException Save(string store, Exception error) =>
        Write("ERR_STATE_SAVE", $"failed saving state in state store {store}: {error.Message}", error);

    public static DaprApiException Delete(string key, Exception error) =>
        Write("ERR_STATE_DELETE", $"failed deleting state with key {key}: {error.Message}", error);

    public static DaprApiException BulkDelete(string store, Exception error) =>
        Write("ERR_STATE_BULK_DELETE", $"failed deleting state in state store {store}: {error.Message}", error);

    // Dapr reports every failure of a transaction alike, a lost ETag race included.
    public static DaprApiException Transaction(Exception error) =>
        new(StatusCodes.Status500InternalServerError, "ERR_STATE_TRANSACTION", $"error while executing state transaction: {error.Message}", StatusCode.Internal);

    public static DaprApiException UnsupportedOperation(string operation, int status, StatusCode grpc) =>
        new(status, "ERR_NOT_SUPPORTED_STATE_OPERATION", $"operation type {operation} not supported", grpc);

    public static DaprApiException QueryUnsupported() =>
        new(StatusCodes.Status500InternalServerError, "ERR_STATE_STORE_NOT_SUPPORTED", "state store does not support querying", StatusCode.Internal)
        {
            Reason = "DAPR_STATE_QUERYING_NOT_SUPPORTED",
        };

    private static DaprApiException Write(string code, string message, Exception error) => error is StateConflictException
        ? new DaprApiException(StatusCodes.Status409Conflict, code, message, StatusCode.Aborted)
        : new DaprApiException(StatusCodes.Status500InternalServerError, code, message, StatusCode.Internal);
}
