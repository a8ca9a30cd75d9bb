using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using System.Threading.Channels;
using Mesh.Host.Data;
using Mesh.Host.Processes;
using Mesh.Host.Runtime;
using Mesh.Host.Topology;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Mesh.Host.Tests;

/// <summary>What a sidecar is told of the app that it outlives.</summary>
public sealed class AppRestartTests : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [UnixFact]
    public async Task The_sidecar_is_told_of_each_end_of_its_app_and_of_the_readiness_of_the_next_process()
    {
        Directory.CreateDirectory(_folder.In("one"));
        RunTemplate template = TemplateReader.Read(_folder.Write("dapr.yaml", """
            version: 1
            apps:
              - appDirPath: one
                command: ["/bin/sh", "-c", "exec sleep 600"]
            """));
        var runtime = new ToldRuntime();
        using DataDirectory data = DataDirectory.Open(_folder.In("data"));
        var parts = new HostRunParts(
            template, new Dictionary<string, AppPorts> { ["one"] = new(0, 0, 0) }, data, runtime, Restart: true, AppContext.BaseDirectory);
        var output = new PrefixedOutput(TextWriter.Null, colours: false, nameWidth: 3);
        await using var run = new HostRun(parts, output, TimeProvider.System, NullLogger.Instance);
        using var timeout = new CancellationTokenSource(Timeout);

        await run.StartAsync(timeout.Token);
        await run.WaitUntilReadyAsync(timeout.Token);
        for (int i = 0; i < 2; i++)
        {
            using Process process = Process.GetProcessById(run.State.Apps[0].Pid);
            process.Kill();
            Assert.Equal("one exited", await runtime.Told.Reader.ReadAsync(timeout.Token));
            Assert.Equal("one restarted", await runtime.Told.Reader.ReadAsync(timeout.Token));
        }

        await run.StopAsync();
        Assert.False(runtime.Told.Reader.TryRead(out _));
    }

    [Fact]
    public async Task An_embedded_sidecar_forgets_the_actors_of_an_app_that_exited_and_takes_the_topics_of_its_successor()
    {
        string topic = "first";
        await using TestApp app = await TestApp.StartAsync(web =>
        {
            web.MapGet("/dapr/config", () => Results.Text("""{"entities":["Cart"]}""", "application/json"));
            web.MapGet("/dapr/subscribe", () => Results.Json(new[] { new { pubsubname = "pubsub", topic, route = "/on" } }));
            web.MapPut("/actors/Cart/{id}/method/add", (string id) => Results.Ok());
        });
        _folder.Write("components/pubsub.yaml", Component("pubsub", "pubsub.in-memory"));
        _folder.Write("components/statestore.yaml", Component("statestore", "state.in-memory"));
        var template = new AppTemplate { AppId = "shop", AppDirectory = _folder.Path, AppPort = app.Port, ResourcesPaths = [_folder.In("components")] };
        var ports = new AppPorts(app.Port, PortPlan.Free(), PortPlan.Free());
        await using var runtime = new EmbeddedRuntime(_folder.Path, _ => new NullLoggerFactory(), TimeProvider.System);
        await runtime.StartAsync(template, ports, CancellationToken.None);
        using var sidecar = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{ports.DaprHttp}/v1.0/") };
        await Eventually.EqualAsync("first", () => TopicsAsync(sidecar), "the app's topic is subscribed to");
        await Eventually.TrueAsync(
            async () => (await sidecar.PutAsync("actors/Cart/1/method/add", null)).IsSuccessStatusCode, "the app hosts actors");
        Assert.Equal(1, await ActorsAsync(sidecar));

        runtime.AppExited("shop");
        Assert.Equal(0, await ActorsAsync(sidecar));

        topic = "second";
        using var timeout = new CancellationTokenSource(Timeout);
        await runtime.AppRestartedAsync("shop", timeout.Token);
        Assert.Equal("second", await TopicsAsync(sidecar));
    }

    private static async Task<string> TopicsAsync(HttpClient sidecar)
    {
        JsonElement metadata = await sidecar.GetFromJsonAsync<JsonElement>("metadata");
        return metadata.TryGetProperty("subscriptions", out JsonElement list)
            ? string.Join(' ', list.EnumerateArray().Select(subscription => subscription.GetProperty("topic").GetString()))
            : "";
    }

    private static async Task<int> ActorsAsync(HttpClient sidecar)
    {
        JsonElement metadata = await sidecar.GetFromJsonAsync<JsonElement>("metadata");
        return metadata.TryGetProperty("actors", out JsonElement list)
            ? list.EnumerateArray().Sum(type => type.TryGetProperty("count", out JsonElement count) ? count.GetInt32() : 0) // 0 is left out
            : 0;
    }

    private static string Component(string name, string type) => $"""
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata:
          name: {name}
        spec:
          type: {type}
          version: v1
          metadata:
            - name: actorStateStore
              value: "true"
        """;

    /// <summary>Sidecars that serve nobody and write down what they are told.</summary>
    private sealed class ToldRuntime : IDaprRuntime
    {
        public Channel<string> Told { get; } = Channel.CreateUnbounded<string>();

        public Task StartAsync(AppTemplate app, AppPorts ports, CancellationToken cancellation) => Task.CompletedTask;

        public void AppExited(string appId) => Told.Writer.TryWrite($"{appId} exited");

        public Task AppRestartedAsync(string appId, CancellationToken cancellation)
        {
            Told.Writer.TryWrite($"{appId} restarted");
            return Task.CompletedTask;
        }

        public int SidecarPid(string appId) => 0;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
