using System.Net;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using Wire = Dapr.Client.Autogen.Grpc.v1;

namespace Mesh.Sidecar.Tests.Invocation;

/// <summary>InvokeService: over gRPC to an app that speaks HTTP.</summary>
public sealed class GrpcInvocationTests
{
    [Fact]
    public async Task Data_verb_and_query_reach_the_app_and_its_answer_comes_back()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using GrpcChannel channel = GrpcChannel.ForAddress(caller.Main.GrpcEndpoint);
        Wire.InvokeServiceRequest request = Request("orders/1", Wire.HTTPExtension.Types.Verb.Post);
        request.Message.HttpExtension.Querystring = "a=1";
        request.Message.Data = new Any { Value = ByteString.CopyFromUtf8("body") };
        request.Message.ContentType = "text/x-order";

        using AsyncUnaryCall<Wire.InvokeResponse> call = new Wire.Dapr.DaprClient(channel).InvokeServiceAsync(request);
        Grpc.Core.Metadata headers = await call.ResponseHeadersAsync;
        Wire.InvokeResponse response = await call;

        Assert.Equal(("body", "text/x-order"), (response.Data.Value.ToStringUtf8(), response.ContentType));
        Assert.Equal(("/orders/1?a=1", "POST"), (headers.GetValue("x-path"), headers.GetValue("x-verb")));
        Assert.Equal("200", headers.GetValue("dapr-http-status"));
    }

    [Theory, InlineData(404, StatusCode.NotFound), InlineData(500, StatusCode.Unknown), InlineData(503, StatusCode.Unavailable)]
    public async Task A_status_of_failure_becomes_a_grpc_status(int status, StatusCode expected)
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using GrpcChannel channel = GrpcChannel.ForAddress(caller.Main.GrpcEndpoint);

        RpcException error = await Assert.ThrowsAsync<RpcException>(async () =>
            await new Wire.Dapr.DaprClient(channel).InvokeServiceAsync(Request($"status/{status}", Wire.HTTPExtension.Types.Verb.Get)));

        Assert.Equal(expected, error.StatusCode);
    }

    [Fact]
    public async Task An_app_that_nobody_knows_is_an_internal_error_that_names_it()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        using GrpcChannel channel = GrpcChannel.ForAddress(caller.Main.GrpcEndpoint);

        RpcException error = await Assert.ThrowsAsync<RpcException>(async () =>
            await new Wire.Dapr.DaprClient(channel).InvokeServiceAsync(Request("x", Wire.HTTPExtension.Types.Verb.Get)));

        Assert.Equal(StatusCode.Internal, error.StatusCode);
        Assert.Contains("id: echo", error.Status.Detail, StringComparison.Ordinal);
    }

    private static Wire.InvokeServiceRequest Request(string method, Wire.HTTPExtension.Types.Verb verb) => new()
    {
        Id = "echo",
        Message = new Wire.InvokeRequest { Method = method, HttpExtension = new Wire.HTTPExtension { Verb = verb } },
    };
}
