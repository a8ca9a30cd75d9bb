using Grpc.Core;
using Mesh.Sidecar.Runtime;

namespace Mesh.Sidecar.Actors;

/// <summary>Failures of the actors API, with Dapr's codes and words.</summary>
internal static class ActorErrors
{
    public const string ClosedCode = "ERR_ACTOR_RUNTIME_CLOSED";

    public static DaprApiException BadRequest(string reason) =>
        new(StatusCodes.Status400BadRequest, "ERR_BAD_REQUEST", $"invalid request: {reason}", StatusCode.InvalidArgument);

    public static DaprApiException Malformed(string reason) =>
        new(StatusCodes.Status400BadRequest, "ERR_MALFORMED_REQUEST", $"failed deserializing HTTP body: {reason}", StatusCode.InvalidArgument);

    public static DaprApiException InstanceMissing() =>
        new(StatusCodes.Status400BadRequest, "ERR_ACTOR_INSTANCE_MISSING", "actor instance is missing", StatusCode.Internal);

    public static DaprApiException NoAddress(ActorKey actor) =>
        new(StatusCodes.Status404NotFound, "ERR_ACTOR_NO_ADDRESS", $"did not find address for actor '{actor}'", StatusCode.FailedPrecondition);

    public static DaprApiException Invoke(string reason) => Internal("ERR_ACTOR_INVOKE_METHOD", $"error invoke actor method: {reason}");

    public static DaprApiException StateGet(string reason) => Internal("ERR_ACTOR_STATE_GET", $"error getting actor state: {reason}");

    public static DaprApiException StateSave(string reason) =>
        Internal("ERR_ACTOR_STATE_TRANSACTION_SAVE", $"error saving actor transaction state: {reason}");

    public static DaprApiException ReminderCreate(string reason) => Internal("ERR_ACTOR_REMINDER_CREATE", $"error creating actor reminder: {reason}");

    public static DaprApiException ReminderGet(string reason) => Internal("ERR_ACTOR_REMINDER_GET", $"error getting actor reminder: {reason}");

    public static DaprApiException ReminderDelete(string reason) => Internal("ERR_ACTOR_REMINDER_DELETE", $"error deleting actor reminder: {reason}");

    public static DaprApiException ReminderNotFound(string name) =>
        new(StatusCodes.Status404NotFound, "ERR_ACTOR_REMINDER_NOT_FOUND", $"actor reminder not found: {name}", StatusCode.NotFound);

    public static DaprApiException ReminderExists(string name) =>
        new(StatusCodes.Status409Conflict, "ERR_ACTOR_REMINDER_ALREADY_EXISTS", $"actor reminder already exists: {name}", StatusCode.AlreadyExists);

    public static DaprApiException ReminderNotHosted() => new(
        StatusCodes.Status403Forbidden, "ERR_ACTOR_REMINDER_NON_HOSTED", "operations on actor reminders are only possible on hosted actor types",
        StatusCode.PermissionDenied);

    public static DaprApiException TimerCreate(string reason) => Internal("ERR_ACTOR_TIMER_CREATE", $"error creating actor timer: {reason}");

    public static DaprApiException Closed() =>
        new(StatusCodes.Status503ServiceUnavailable, ClosedCode, "actor runtime is closed", StatusCode.Unavailable);

    public static DaprApiException NoStateStore() => Internal(
        "ERR_ACTOR_RUNTIME_NOT_FOUND",
        "the state store is not configured to use the actor runtime. Have you set the - name: actorStateStore value: \"true\" in your state store component file?");

    private static DaprApiException Internal(string code, string message) =>
        new(StatusCodes.Status500InternalServerError, code, message, StatusCode.Internal);
}
