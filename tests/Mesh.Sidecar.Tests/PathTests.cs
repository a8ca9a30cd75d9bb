using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests;

public sealed class PathTests
{
    [Fact]
    public async Task A_doubled_slash_in_front_is_one_slash_as_the_sdk_sends_it()
    {
        await using SidecarHarness harness = await SidecarHarness.StartAsync(
            SidecarHarness.InMemoryState, app => app.MapGet("/echo/{text}", (HttpContext context, string text) => context.Response.WriteAsync(text)));
        using var value = new StringContent("""[{"key":"k","value":"v"}]""", Encoding.UTF8, "application/json");

        using HttpResponseMessage saved = await harness.Http.PostAsync(new Uri(harness.Main.HttpEndpoint + "//v1.0/state/statestore"), value);
        string read = await harness.Http.GetStringAsync(new Uri(harness.Main.HttpEndpoint + "//v1.0/state/statestore/k"));
        string echoed = await harness.Http.GetStringAsync(new Uri(harness.Main.HttpEndpoint + "//v1.0/invoke/testapp/method/echo/hello"));

        Assert.Equal(HttpStatusCode.NoContent, saved.StatusCode);
        Assert.Equal(("\"v\"", "hello"), (read, echoed));
    }
}
