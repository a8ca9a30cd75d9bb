using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Mesh.Sidecar.Invocation;
using Mesh.Sidecar.Runtime;
using Mesh.Sidecar.State;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Actors;

/// <summary>The gRPC face of actors.</summary>
internal sealed class ActorGrpc(ActorRouter router, ActorState state, ActorHost? host, Reminders? reminders, Timers? timers)
{
    public void Bind(GrpcBinder grpc)
    {
        grpc.Unary<Wire.InvokeActorRequest, Wire.InvokeActorResponse>("InvokeActor", InvokeAsync);
        grpc.Unary<Wire.GetActorStateRequest, Wire.GetActorStateResponse>("GetActorState", GetStateAsync);
        grpc.Unary<Wire.ExecuteActorStateTransactionRequest, Empty>("ExecuteActorStateTransaction", SaveStateAsync);
        grpc.Unary<Wire.RegisterActorTimerRequest, Empty>("RegisterActorTimer", CreateTimer);
        grpc.Unary<Wire.UnregisterActorTimerRequest, Empty>("UnregisterActorTimer", DeleteTimer);
        grpc.Unary<Wire.RegisterActorReminderRequest, Empty>("RegisterActorReminder", CreateReminderAsync);
        grpc.Unary<Wire.UnregisterActorReminderRequest, Empty>("UnregisterActorReminder", DeleteReminderAsync);
        grpc.Unary<Wire.GetActorReminderRequest, Wire.GetActorReminderResponse>("GetActorReminder", GetReminderAsync);
        grpc.Unary<Wire.ListActorRemindersRequest, Wire.ListActorRemindersResponse>("ListActorReminders", ListRemindersAsync);
        grpc.Unary<Wire.UnregisterActorRemindersByTypeRequest, Wire.UnregisterActorRemindersByTypeResponse>(
            "UnregisterActorRemindersByType", DeleteRemindersAsync);
    }

    private async Task<Wire.InvokeActorResponse> InvokeAsync(Wire.InvokeActorRequest call, ServerCallContext context)
    {
        ActorKey actor = ActorOf(call.ActorType, call.ActorId);
        string path = $"{actor.AppPath}/method/{Uri.EscapeDataString(ActorKey.Checked("method", call.Method))}";
        var request = new HttpRequestMessage(HttpMethod.Put, new Uri(path, UriKind.Relative));
        if (!call.Data.IsEmpty) request.Content = new ReadOnlyMemoryContent(call.Data.Memory);
        foreach ((string name, string value) in call.Metadata)
        {
            if (!HeaderRules.IsNotForwarded(name)) HeaderRules.Add(request, name, value);
        }

        using ActorAnswer answer = await router.InvokeAsync(actor, request, context.CancellationToken);
        return new Wire.InvokeActorResponse { Data = UnsafeByteOperations.UnsafeWrap(answer.Body) };
    }

    private async Task<Wire.GetActorStateResponse> GetStateAsync(Wire.GetActorStateRequest call, ServerCallContext context)
    {
        StateItem? item = await state.GetAsync(ActorOf(call.ActorType, call.ActorId), call.Key, context.CancellationToken);
        var response = new Wire.GetActorStateResponse();
        if (item is null) return response;

        response.Data = UnsafeByteOperations.UnsafeWrap(item.Value);
        if (item.ExpiresAt is { } expires) response.Metadata["ttlExpireTime"] = ActorEndpoints.Rfc3339(expires);
        return response;
    }

    private async Task<Empty> SaveStateAsync(Wire.ExecuteActorStateTransactionRequest call, ServerCallContext context)
    {
        ActorKey actor = ActorOf(call.ActorType, call.ActorId);
        StateWrite[] writes = [.. call.Operations.Select(operation => operation.OperationType switch
        {
            "upsert" => state.Upsert(actor, operation.Key, operation.Value?.Value.Memory ?? ReadOnlyMemory<byte>.Empty, isJson: false, null, operation.Metadata),
            "delete" => state.Delete(actor, operation.Key),
            _ => throw ActorState.Unsupported(operation.OperationType),
        })];
        await state.WriteAsync(actor, writes, context.CancellationToken);
        return new Empty();
    }

    private Task<Empty> CreateTimer(Wire.RegisterActorTimerRequest call, ServerCallContext context)
    {
        ReminderKey key = KeyOf(call.ActorType, call.ActorId, call.Name);
        (timers ?? throw ActorEndpoints.NotHosted(key.Actor)).Create(key, new ReminderRequest(call.DueTime, call.Period, call.Ttl, JsonOf(call.Data), call.Callback));
        return Task.FromResult(new Empty());
    }

    private Task<Empty> DeleteTimer(Wire.UnregisterActorTimerRequest call, ServerCallContext context)
    {
        timers?.Delete(KeyOf(call.ActorType, call.ActorId, call.Name));
        return Task.FromResult(new Empty());
    }

    private async Task<Empty> CreateReminderAsync(Wire.RegisterActorReminderRequest call, ServerCallContext context)
    {
        ReminderKey key = KeyOf(call.ActorType, call.ActorId, call.Name);
        var request = new ReminderRequest(call.DueTime, call.Period, call.Ttl, JsonOf(call.Data), Overwrite: !call.HasOverwrite || call.Overwrite);
        await Hosted(call.ActorType).CreateAsync(key, request, context.CancellationToken);
        return new Empty();
    }

    private async Task<Empty> DeleteReminderAsync(Wire.UnregisterActorReminderRequest call, ServerCallContext context)
    {
        await Hosted(call.ActorType).DeleteAsync(KeyOf(call.ActorType, call.ActorId, call.Name), context.CancellationToken);
        return new Empty();
    }

    private async Task<Wire.GetActorReminderResponse> GetReminderAsync(Wire.GetActorReminderRequest call, ServerCallContext context)
    {
        Reminder reminder = await Hosted(call.ActorType).GetAsync(KeyOf(call.ActorType, call.ActorId, call.Name), context.CancellationToken);
        var response = new Wire.GetActorReminderResponse { ActorType = call.ActorType, ActorId = call.ActorId };
        if (!reminder.Data.IsEmpty) response.Data = DataOf(reminder);
        if (reminder.Schedule.DueTime.Length > 0) response.DueTime = reminder.Schedule.DueTime;
        if (reminder.Schedule.Period.Length > 0) response.Period = reminder.Schedule.Period;
        if (reminder.Schedule.Expires is { } expires) response.Ttl = ActorEndpoints.Rfc3339(expires);
        return response;
    }

    private async Task<Wire.ListActorRemindersResponse> ListRemindersAsync(Wire.ListActorRemindersRequest call, ServerCallContext context)
    {
        var response = new Wire.ListActorRemindersResponse();
        string? actorId = call.HasActorId ? call.ActorId : null;
        foreach (Reminder reminder in await Hosted(call.ActorType).ListAsync(call.ActorType, actorId, context.CancellationToken))
        {
            var listed = new Wire.ActorReminder { ActorType = reminder.Key.Actor.Type, ActorId = reminder.Key.Actor.Id };
            if (!reminder.Data.IsEmpty) listed.Data = DataOf(reminder);
            if (reminder.Schedule.DueTime.Length > 0) listed.DueTime = reminder.Schedule.DueTime;
            if (reminder.Schedule.Period.Length > 0) listed.Period = reminder.Schedule.Period;
            if (reminder.Schedule.Expires is { } expires) listed.Ttl = ActorEndpoints.Rfc3339(expires);
            response.Reminders.Add(new Wire.NamedActorReminder { Name = reminder.Key.Name, Reminder = listed });
        }

        return response;
    }

    private async Task<Wire.UnregisterActorRemindersByTypeResponse> DeleteRemindersAsync(
        Wire.UnregisterActorRemindersByTypeRequest call, ServerCallContext context)
    {
        Reminders hosted = Hosted(call.ActorType);
        foreach (Reminder reminder in await hosted.ListAsync(call.ActorType, call.HasActorId ? call.ActorId : null, context.CancellationToken))
        {
            await hosted.DeleteAsync(reminder.Key, context.CancellationToken);
        }

        return new Wire.UnregisterActorRemindersByTypeResponse();
    }

    private Reminders Hosted(string type) => host is not null && host.IsHosted(type) ? reminders ?? throw ActorErrors.NoStateStore() : throw ActorErrors.ReminderNotHosted();

    private static ActorKey ActorOf(string type, string id) => new(ActorKey.Checked("actorType", type), ActorKey.Checked("actorId", id));

    private static ReminderKey KeyOf(string type, string id, string name) => new(ActorOf(type, id), ActorKey.Checked("name", name));

    // Bytes travel as a JSON string in base64, as daprd sends them on to an app that speaks HTTP.
    private static ReadOnlyMemory<byte> JsonOf(ByteString data) =>
        data.IsEmpty ? ReadOnlyMemory<byte>.Empty : System.Text.Encoding.UTF8.GetBytes($"\"{data.ToBase64()}\"");

    private static Any DataOf(Reminder reminder) => Any.Pack(new BytesValue { Value = ByteString.CopyFrom(reminder.Data.Span) });
}
