using System.Net;

namespace Mesh.Sidecar.Tests;

public sealed class SidecarHarnessTests
{
    [Fact]
    public async Task A_value_saved_over_http_is_read_over_grpc()
    {
        await using SidecarHarness sidecar = await SidecarHarness.StartAsync(SidecarHarness.InMemoryState);

        using var body = new StringContent("""[{"key":"k","value":{"a":1}}]""");
        HttpResponseMessage saved = await sidecar.Http.PostAsync(new Uri("v1.0/state/statestore", UriKind.Relative), body);
        var read = await sidecar.Dapr.GetStateAsync<Dictionary<string, int>>("statestore", "k");

        Assert.Equal(HttpStatusCode.NoContent, saved.StatusCode);
        Assert.Equal(1, read["a"]);
    }
}
