using Grpc.Core;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Invocation;

/// <summary>Failures of service invocation, with Dapr's codes and words.</summary>
internal static class InvocationErrors
{
    private const string Code = "ERR_DIRECT_INVOKE";

    public static DaprApiException NoAppId() => new(
        StatusCodes.Status404NotFound, Code, "failed getting app id either from the URL path or the header dapr-app-id", StatusCode.NotFound);

    public static DaprApiException Failed(string targetId, string reason) => new(
        StatusCodes.Status500InternalServerError, Code, $"failed to invoke, id: {targetId}, err: {reason}", StatusCode.Internal);

    public static DaprApiException UnknownApp(string targetId) => Failed(targetId, $"couldn't find service: {targetId}");

    public static DaprApiException Unreachable(string targetId, int retries, string reason) =>
        Failed(targetId, $"failed to invoke target {targetId} after {retries} retries. Error: {reason}");
}
