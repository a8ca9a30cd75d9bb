using System.Net.Http.Json;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>Models go live in a running mesh: a message on the topic, and nothing is restarted.</summary>
public sealed class ModelTests : IDisposable
{
    private const int Users = 8;
    private readonly TempFolder _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_model_goes_live_under_load_and_back_again_through_kills_and_a_restart()
    {
        string mini = ModelVariant.CopyMini(_models.Path);
        string next = ModelVariant.Write(_models.Path, "next", seed: 1);
        await using MeshHost host = await MeshHost.StartAsync(new MeshHostOptions { Environment = new Dictionary<string, string> { ["Models__Root"] = _models.Path } });
        var mesh = new MeshApi(host.Http);
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await mesh.PostItemsAsync(SmallWorld.Items(100, now));
        await mesh.PostEventsAsync([.. from user in Enumerable.Range(0, Users) from i in Enumerable.Range(0, 12) select SmallWorld.Event($"u{user}", $"{SmallWorld.Topics[user % 4]}-{i * 3}", "like", now - 60_000 + i)]);
        await LiveAsync(mesh, mini, "the configured model is live, its tower in the first snapshot");
        await Eventually.TrueAsync("the two-tower source finds items for a user with history", () => FindsAsync(mesh, "two-tower"));

        using var stop = new CancellationTokenSource();
        Task<int> load = LoadAsync(mesh, stop.Token);
        await PublishAsync(host, new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = now + 1, Version = "mini-00000000", Path = "nowhere" });
        await PublishAsync(host, new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = now + 2, Version = next, Path = "next" });
        await LiveAsync(mesh, next, "the chosen model is live");
        await mesh.PostItemsAsync([new ItemRow("fresh", "cook", "pan recipe onion", ["cooking"], now)]);
        await Eventually.TrueAsync("a new item is retrievable by it", () => mesh.IsRetrievableAsync("fresh"));
        await stop.CancelAsync();
        Assert.InRange(await load, 10, 1_000_000);

        // Back, and the process that encodes the catalogue is killed as soon as it has the message.
        await PublishAsync(host, new ModelChange { EventId = Ulid.NewUlid().ToString(), TimeMs = now + 3, Version = mini, Path = "mini" });
        await host.WaitUntilAppRestartedAsync("index-updater", host.KillApp("index-updater"));
        await LiveAsync(mesh, mini, "the model before is live again");
        host.KillHost();
        await host.RestartAsync();
        await LiveAsync(new MeshApi(host.Http), mini, "and so it is after a restart");
        await Eventually.TrueAsync("the two-tower source finds items again", () => FindsAsync(new MeshApi(host.Http), "two-tower"));
    }

    // Feeds without an end: each is full, none is without retrieval.
    private static async Task<int> LoadAsync(MeshApi mesh, CancellationToken stop)
    {
        int served = 0;
        for (; !stop.IsCancellationRequested; served++)
        {
            Feed feed = await mesh.FeedAsync($"u{served % Users}");
            Assert.Equal(30, feed.Items.Length);
            Assert.DoesNotContain(feed.Degraded, degraded => degraded.Stage is "retrieval" or "two-tower" or "semantic-id");
        }

        return served;
    }

    private static async Task<bool> FindsAsync(MeshApi mesh, string source)
    {
        try
        {
            return (await mesh.FeedAsync("u0")).Items.Any(item => item.Sources.Contains(source));
        }
        catch (HttpRequestException)
        {
            return false; // a service is on its way back
        }
    }

    // A snapshot of retrieval's own is named: rows, codes and tower are of it.
    private static Task<TimeSpan> LiveAsync(MeshApi mesh, string version, string claim)
    {
        string seen = "";
        return Eventually.TrueAsync(
            claim,
            async () =>
            {
                try
                {
                    JsonElement index = (await mesh.SystemAsync()).GetProperty("index");
                    seen = index.GetRawText();
                    return index.GetProperty("modelVersion").GetString() == version && index.GetProperty("version").GetString() is { } snapshot && snapshot != "live";
                }
                catch (Exception fault) when (fault is HttpRequestException or InvalidOperationException or KeyNotFoundException)
                {
                    return false; // a service is on its way back
                }
            },
            () => Task.FromResult(seen),
            withinSeconds: 90);
    }

    private static async Task PublishAsync(MeshHost host, ModelChange change)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        var body = new { eventId = change.EventId, timeMs = change.TimeMs, version = change.Version, path = change.Path };
        using HttpResponseMessage response = await http.PostAsJsonAsync(
            $"http://127.0.0.1:{host.App("gateway").DaprHttpPort}/v1.0/publish/{Components.PubSub}/{Topics.Models}", body);
        Assert.True(response.IsSuccessStatusCode, $"The sidecar answered {response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
    }
}
