using System.Net;
using Dapr.Client;
using Grpc.Core;
using Mesh.Testing;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Builder;

namespace Mesh.Sidecar.Tests.Core;

/// <summary>API tokens on both faces, and the app's token on the way to the app.</summary>
public sealed class ApiTokenTests : IAsyncLifetime
{
    private const string Token = "s3cret";
    private SidecarHarness _sidecar = null!;

    public async Task InitializeAsync() => _sidecar = await SidecarHarness.StartAsync(
        SidecarHarness.InMemoryState, configure: options => options with { ApiToken = Token });

    public async Task DisposeAsync() => await _sidecar.DisposeAsync();

    [OwnSidecarFact]
    public async Task Http_calls_need_the_token()
    {
        Answer none = await _sidecar.Http.Get("v1.0/metadata");
        Answer wrong = await _sidecar.Http.Get("v1.0/metadata", ("dapr-api-token", "guess"));
        Answer right = await _sidecar.Http.Get("v1.0/metadata", ("dapr-api-token", Token));

        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.OK), (none.Status, wrong.Status, right.Status));
        Assert.Equal("invalid api token", none.Body.Trim());
    }

    [OwnSidecarFact]
    public async Task Health_needs_none()
    {
        Assert.Equal(HttpStatusCode.NoContent, (await _sidecar.Http.Get("v1.0/healthz")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await _sidecar.Http.Get("v1.0/healthz/outbound")).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, (await _sidecar.Http.Post("v1.0/healthz", "")).Status);
    }

    [OwnSidecarFact]
    public async Task Grpc_calls_need_the_token()
    {
        using DaprClient with = _sidecar.Main.CreateClient(Token);
        using DaprClient without = _sidecar.Main.CreateClient();

        await with.SaveStateAsync("statestore", "k", 1);
        var refused = await Assert.ThrowsAsync<Dapr.DaprException>(() => without.GetStateAsync<int>("statestore", "k"));

        Assert.Equal(1, await with.GetStateAsync<int>("statestore", "k"));
        Assert.Equal(StatusCode.Unauthenticated, Assert.IsType<RpcException>(refused.InnerException).StatusCode);
    }

    [OwnSidecarFact]
    public async Task The_app_channel_sends_the_apps_own_token()
    {
        await using TestApp app = await TestApp.StartAsync(web => web.MapGet("/token", (HttpRequest request) => request.Headers["dapr-api-token"].ToString()));
        var options = new Mesh.Sidecar.Runtime.SidecarOptions { AppId = "a", AppPort = app.Port, AppApiToken = "for-the-app" };
        using var channel = new Mesh.Sidecar.Runtime.AppChannel(options, TimeProvider.System);
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri("token", UriKind.Relative));

        using HttpResponseMessage response = await channel.SendAsync(request, CancellationToken.None);

        Assert.Equal("for-the-app", await response.Content.ReadAsStringAsync());
    }
}
