using System.Text;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Http;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>The same actors over gRPC.</summary>
public sealed class ActorGrpcTests
{
    [Fact]
    public async Task A_method_is_called_with_data_and_metadata_and_answers_with_data()
    {
        var app = new ScriptedActorApp { Answer = async (call, context) => await context.Response.WriteAsync($"got {call.Body}") };
        await using SidecarHarness sidecar = await app.StartAsync();
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);
        var request = new Wire.InvokeActorRequest { ActorType = "Cart", ActorId = "7", Method = "add", Data = ByteString.CopyFromUtf8("x") };
        request.Metadata["X-Trace"] = "abc";

        Wire.InvokeActorResponse response = await new Wire.Dapr.DaprClient(channel).InvokeActorAsync(request);

        ActorCall call = Assert.Single(app.Calls);
        Assert.Equal("got x", response.Data.ToStringUtf8());
        Assert.Equal(("/actors/Cart/7/method/add", "abc"), (call.Path, call.Headers["X-Trace"]));
    }

    [Fact]
    public async Task State_is_written_in_one_transaction_and_read()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        await sidecar.Http.CallAsync("Cart/7");
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);
        var dapr = new Wire.Dapr.DaprClient(channel);
        var transaction = new Wire.ExecuteActorStateTransactionRequest { ActorType = "Cart", ActorId = "7" };
        transaction.Operations.Add(new Wire.TransactionalActorStateOperation
        {
            OperationType = "upsert", Key = "k", Value = new Any { Value = ByteString.CopyFromUtf8("{\"a\":1}") },
        });

        await dapr.ExecuteActorStateTransactionAsync(transaction);
        Wire.GetActorStateResponse read = await dapr.GetActorStateAsync(new Wire.GetActorStateRequest { ActorType = "Cart", ActorId = "7", Key = "k" });

        Assert.Equal("{\"a\":1}", read.Data.ToStringUtf8());
        Assert.Equal("{\"a\":1}", await sidecar.Http.GetStringAsync("v1.0/actors/Cart/7/state/k"));
    }

    [Fact]
    public async Task A_reminder_is_registered_listed_and_unregistered_and_its_bytes_arrive_as_base64()
    {
        var app = new ScriptedActorApp();
        await using SidecarHarness sidecar = await app.StartAsync();
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);
        var dapr = new Wire.Dapr.DaprClient(channel);

        await dapr.RegisterActorReminderAsync(new Wire.RegisterActorReminderRequest
        {
            ActorType = "Cart", ActorId = "7", Name = "wake", DueTime = "0s", Period = "1h", Data = ByteString.CopyFromUtf8("hi"),
        });
        await Waiting.UntilAsync(() => app.Count("/remind/wake") == 1, "it fired");
        Wire.ListActorRemindersResponse listed = await dapr.ListActorRemindersAsync(new Wire.ListActorRemindersRequest { ActorType = "Cart" });
        await dapr.UnregisterActorReminderAsync(new Wire.UnregisterActorReminderRequest { ActorType = "Cart", ActorId = "7", Name = "wake" });
        RpcException gone = await Assert.ThrowsAsync<RpcException>(
            async () => await dapr.GetActorReminderAsync(new Wire.GetActorReminderRequest { ActorType = "Cart", ActorId = "7", Name = "wake" }));

        Assert.Equal("wake", Assert.Single(listed.Reminders).Name);
        Assert.Contains(Convert.ToBase64String(Encoding.UTF8.GetBytes("hi")), app.Calls.First().Body, StringComparison.Ordinal);
        Assert.Equal(StatusCode.NotFound, gone.StatusCode);
    }

    [Fact]
    public async Task A_timer_of_an_actor_that_is_not_active_is_refused()
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);

        RpcException error = await Assert.ThrowsAsync<RpcException>(async () => await new Wire.Dapr.DaprClient(channel)
            .RegisterActorTimerAsync(new Wire.RegisterActorTimerRequest { ActorType = "Cart", ActorId = "7", Name = "tick", DueTime = "1s" }));

        Assert.Equal(StatusCode.Internal, error.StatusCode);
        Assert.Contains("actor instance is missing", error.Status.Detail, StringComparison.Ordinal);
    }
}
