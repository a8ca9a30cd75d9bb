using System.Net;
using System.Text.Json;
using Dapr.Client;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Reflection.V1;

namespace Mesh.Sidecar.Tests.Core;

/// <summary>Metadata, health, reflection and unknown routes, by Dapr's API reference.</summary>
public sealed class MetadataTests
{
    [Fact]
    public async Task Metadata_tells_app_components_and_capabilities()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(
            SidecarHarness.Join(SidecarHarness.InMemoryState, SidecarHarness.Component("files", "bindings.localstorage", ("rootPath", "files"))), app: _ => { });

        Answer answer = await sidecar.Http.Get("v1.0/metadata");

        JsonElement json = answer.Json;
        Assert.Equal((HttpStatusCode.OK, "testapp"), (answer.Status, json.GetProperty("id").GetString()));
        Assert.NotEmpty(json.GetProperty("runtimeVersion").GetString()!);
        Assert.Equal(json.GetProperty("runtimeVersion").GetString(), json.GetProperty("extended").GetProperty("daprRuntimeVersion").GetString());
        JsonElement app = json.GetProperty("appConnectionProperties");
        Assert.Equal((sidecar.App!.Port, "http", "127.0.0.1"),
            (app.GetProperty("port").GetInt32(), app.GetProperty("protocol").GetString(), app.GetProperty("channelAddress").GetString()));
        var components = json.GetProperty("components").EnumerateArray().ToDictionary(component => component.GetProperty("name").GetString()!);
        Assert.Equal(("state.in-memory", "v1"),
            (components["statestore"].GetProperty("type").GetString(), components["statestore"].GetProperty("version").GetString()));
        string[] capabilities = [.. components["statestore"].GetProperty("capabilities").EnumerateArray().Select(capability => capability.GetString()!)];
        Assert.Superset(new HashSet<string> { "ETAG", "TRANSACTIONAL", "ACTOR" }, capabilities.ToHashSet());
        Assert.Equal("OUTPUT_BINDING", components["files"].GetProperty("capabilities")[0].GetString());
        Assert.False(json.TryGetProperty("subscriptions", out _));
    }

    [Fact]
    public async Task Attributes_set_over_either_face_are_told_by_both()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync();

        Answer put = await sidecar.Http.Put("v1.0/metadata/first%20one", "a value");
        await sidecar.Dapr.SetMetadataAsync("second", "another");

        JsonElement extended = (await sidecar.Http.Get("v1.0/metadata")).Json.GetProperty("extended");
        DaprMetadata metadata = await sidecar.Dapr.GetMetadataAsync();
        Assert.Equal(HttpStatusCode.NoContent, put.Status);
        Assert.Equal(("a value", "another"), (extended.GetProperty("first one").GetString(), extended.GetProperty("second").GetString()));
        Assert.Equal(("testapp", "a value"), (metadata.Id, metadata.Extended["first one"]));
    }

    [Fact]
    public async Task A_sidecar_is_healthy_once_its_app_listens_and_outbound_before()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(app: _ => { });

        Assert.Equal(HttpStatusCode.NoContent, (await sidecar.Http.Get("v1.0/healthz")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await sidecar.Http.Get("v1.0/healthz/outbound")).Status);
        Assert.True(await sidecar.Dapr.CheckHealthAsync());
        Assert.True(await sidecar.Dapr.CheckOutboundHealthAsync());
    }

    [OwnSidecarFact]
    public async Task While_the_app_does_not_listen_only_outbound_is_healthy()
    {
        using var folder = new Mesh.Testing.TempFolder();
        using var closed = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        int port = ((IPEndPoint)closed.LocalEndpoint).Port;
        closed.Stop();
        await using Mesh.Testing.EmbeddedSidecar sidecar = await Mesh.Testing.EmbeddedSidecar.StartAsync("late", folder.Path, port, waitUntilReady: false);

        Answer health = await sidecar.Http.Get("v1.0/healthz");
        Answer outbound = await sidecar.Http.Get("v1.0/healthz/outbound");
        await using Mesh.Testing.TestApp app = await Mesh.Testing.TestApp.StartAsync(_ => { }, port: port);
        await sidecar.Server.Ready.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_HEALTH_NOT_READY"), (health.Status, health.ErrorCode));
        Assert.Equal(HttpStatusCode.NoContent, outbound.Status);
        Assert.Equal(HttpStatusCode.NoContent, (await sidecar.Http.Get("v1.0/healthz")).Status);
    }

    [Fact]
    public async Task Health_with_another_app_id_is_500()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync();

        Answer own = await sidecar.Http.Get("v1.0/healthz?appid=testapp");
        Answer other = await sidecar.Http.Get("v1.0/healthz?appid=other");

        Assert.Equal(HttpStatusCode.NoContent, own.Status);
        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_HEALTH_APPID_NOT_MATCH"), (other.Status, other.ErrorCode));
    }

    [Fact]
    public async Task Routes_that_do_not_exist_are_404_in_daprs_format()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(SidecarHarness.InMemoryState);

        foreach (Answer answer in new[]
        {
            await sidecar.Http.Get("v1.0/nothing/here"), await sidecar.Http.Get("other"), await sidecar.Http.Delete("v1.0/metadata"),
        })
        {
            Assert.Equal((HttpStatusCode.NotFound, "ERR_DIRECT_INVOKE"), (answer.Status, answer.ErrorCode));
        }
    }

    [Fact]
    public async Task Reflection_lists_the_dapr_service_and_its_methods()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync();
        using GrpcChannel channel = GrpcChannel.ForAddress(sidecar.Main.GrpcEndpoint);
        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call =
            new ServerReflection.ServerReflectionClient(channel).ServerReflectionInfo();

        await call.RequestStream.WriteAsync(new ServerReflectionRequest { FileContainingSymbol = "dapr.proto.runtime.v1.Dapr" });
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));

        var file = Google.Protobuf.Reflection.FileDescriptorProto.Parser.ParseFrom(
            call.ResponseStream.Current.FileDescriptorResponse.FileDescriptorProto[0]);
        Assert.Contains("BulkPublishEvent", file.Service.Single(service => service.Name == "Dapr").Method.Select(method => method.Name));
    }

    [OwnSidecarFact]
    public async Task Shutdown_over_the_api_asks_whoever_runs_the_sidecar_to_stop_it()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync();

        Answer answer = await sidecar.Http.Post("v1.0/shutdown", "");

        Assert.Equal(HttpStatusCode.NoContent, answer.Status);
        await ((Mesh.Testing.EmbeddedSidecar)sidecar.Main).Server.Context.Health.ShutdownRequested.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
