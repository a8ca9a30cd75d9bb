using Grpc.Core;

namespace Mesh.Sidecar.Runtime;

/// <summary>
/// A failure as the Dapr API reports it: HTTP status and body <c>{"errorCode","message"}</c> on one face, a gRPC status on
/// the other. Thrown by building blocks, mapped by the two faces.
/// </summary>
public sealed class DaprApiException(int httpStatus, string errorCode, string message, StatusCode grpcStatus) : Exception(message)
{
    public int HttpStatus => httpStatus;

    /// <summary>Dapr's error code, e.g. <c>ERR_STATE_STORE_NOT_FOUND</c>.</summary>
    public string ErrorCode => errorCode;

    public StatusCode GrpcStatus => grpcStatus;

    /// <summary>Machine-readable reason of Dapr's richer errors, e.g. <c>DAPR_STATE_NOT_FOUND</c>; null where it has none.</summary>
    public string? Reason { get; init; }

    /// <summary>What goes with <see cref="Reason"/>, e.g. the app-id.</summary>
    public IReadOnlyDictionary<string, string>? ReasonMetadata { get; init; }
}
