using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Mesh.Testing;

namespace Mesh.Sidecar.Tests.Core;

/// <summary>The sidecar as a process: started as tools start daprd, stopped, and killed.</summary>
public sealed class SidecarProcessTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [OwnSidecarFact]
    public async Task Kill_9_loses_nothing_that_was_acknowledged()
    {
        WriteState();
        var acknowledged = new ConcurrentDictionary<string, bool>();
        SidecarProcess sidecar = await StartAsync();
        using var stop = new CancellationTokenSource();
        Task[] writers = [.. Enumerable.Range(0, 8).Select(writer => WriteUntilDeadAsync(sidecar, writer, acknowledged, stop.Token))];
        await Eventually.TrueAsync(() => Task.FromResult(acknowledged.Count > 300), "300 acknowledged writes");

        await sidecar.KillAsync();
        await stop.CancelAsync();
        await Task.WhenAll(writers);
        await sidecar.DisposeAsync();

        await using SidecarProcess again = await StartAsync();
        foreach (string key in acknowledged.Keys)
        {
            // Both halves of each transaction, or the acknowledgement was a lie.
            Assert.Equal("1", (await again.Http.Get($"v1.0/state/statestore/{key}")).Body);
            Assert.Equal("2", (await again.Http.Get($"v1.0/state/statestore/{key}-twin")).Body);
        }
    }

    [OwnSidecarFact]
    public async Task Sigterm_stops_it_cleanly_and_the_log_says_what_ran_where()
    {
        WriteState();
        await using SidecarProcess sidecar = await StartAsync("--enable-mtls", "--placement-host-address", "localhost:50005", "--enable-api-logging");
        await sidecar.Http.Get("v1.0/metadata");

        int code = await sidecar.TerminateAsync();

        Assert.Equal(0, code);
        Assert.Contains($":{sidecar.HttpPort}", sidecar.Output, StringComparison.Ordinal);
        Assert.Contains("statestore (state.sqlite)", sidecar.Output, StringComparison.Ordinal);
        Assert.Contains("GET /v1.0/metadata -> 200", sidecar.Output, StringComparison.Ordinal);
        string ignored = Assert.Single(sidecar.Output.Split('\n'), line => line.Contains("without meaning here", StringComparison.Ordinal));
        Assert.Contains("--enable-mtls --placement-host-address", ignored, StringComparison.Ordinal);
    }

    [OwnSidecarFact]
    public async Task Shutdown_over_the_api_ends_the_process()
    {
        await using SidecarProcess sidecar = await StartAsync();

        Answer answer = await sidecar.Http.Post("v1.0/shutdown", "");

        Assert.Equal(HttpStatusCode.NoContent, answer.Status);
        Assert.Equal(0, await sidecar.WaitForExitAsync());
    }

    [OwnSidecarFact]
    public async Task A_component_that_cannot_be_used_ends_it_with_the_reason()
    {
        _folder.Write("a.yaml", SidecarHarness.ComponentYaml("orders", "state.cosmosdb"));

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => StartAsync());

        Assert.Contains("ended with 1", error.Message, StringComparison.Ordinal);
        Assert.Contains("Component orders", error.Message, StringComparison.Ordinal);
    }

    private static async Task WriteUntilDeadAsync(
        SidecarProcess sidecar, int writer, ConcurrentDictionary<string, bool> acknowledged, CancellationToken stop)
    {
        for (int i = 0; !stop.IsCancellationRequested; i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"w{writer}-{i}");
            try
            {
                Answer answer = await sidecar.Http.Post("v1.0/state/statestore/transaction", $$$"""
                    {"operations":[{"operation":"upsert","request":{"key":"{{{key}}}","value":1}},
                                   {"operation":"upsert","request":{"key":"{{{key}}}-twin","value":2}}]}
                    """);
                if (answer.Status == HttpStatusCode.NoContent) acknowledged[key] = true;
            }
            catch (HttpRequestException)
            {
                return; // killed
            }
        }
    }

    private void WriteState() => _folder.Write("state.yaml", SidecarHarness.ComponentYaml("statestore", "state.sqlite", ("connectionString", "state.db")));

    private Task<SidecarProcess> StartAsync(params string[] flags) => SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "testapp", _folder.Path, flags: flags);
}
