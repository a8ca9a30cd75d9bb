using System.Diagnostics;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Simulator.Synthetic;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

public sealed class DemoTests
{
    [Fact]
    public async Task The_demo_serves_a_ranked_explained_feed_and_stops_without_a_trace()
    {
        await using MeshHost host = await MeshHost.StartAsync(new MeshHostOptions { Arguments = ["--demo"] });
        var mesh = new MeshApi(host.Http);
        string user = SyntheticWorld.UserId(0);

        await Eventually.TrueAsync(
            "the demo says what to try", () => Task.FromResult(host.Output.Contains("14 probabilities", StringComparison.Ordinal)), () => Task.FromResult(host.Output), withinSeconds: 180);
        const int limit = 60; // at most 15 authors are followed and each has at most 3 places: no page of 60 is in network alone
        Feed feed = await mesh.FeedAsync(user, limit, explain: true);
        await Eventually.TrueAsync("the demo's world is in the feed", async () =>
        {
            feed = await mesh.FeedAsync(user, limit, explain: true);
            return feed.Items.Length == limit && feed.Items.Any(item => item.InNetwork) && feed.Items.Any(item => !item.InNetwork) && feed.Degraded.Length == 0;
        }, () => Task.FromResult($"{feed.Items.Length} items, {feed.Items.Count(item => item.InNetwork)} in network, scored by {feed.ModelVersion}, {string.Join(", ", feed.Degraded.Select(stage => stage.ToString()))}"), withinSeconds: 60);

        Assert.Equal(("transformer", MiniVersion()), (feed.Arms["ranker"], feed.ModelVersion));
        Assert.All(feed.Items, item =>
        {
            double[] probabilities = [.. item.Explain!.Value.GetProperty("probabilities").EnumerateObject().Select(action => action.Value.GetDouble())];
            Assert.Equal(ActionTaxonomy.Default.Count, probabilities.Length);
            Assert.All(probabilities, probability => Assert.InRange(probability, 0, 1));
        });
        Assert.True(feed.Items.Select(item => item.Explain!.Value.GetProperty("probabilities").GetProperty("click").GetDouble()).Distinct().Count() > 10);
        Assert.Contains("/swagger", host.Output, StringComparison.Ordinal);

        string[] apps = ["gateway", "sequence-store", "retrieval", "ranker", "index-updater"];
        int[] pids = [.. apps.Select(host.AppPid)];
        Assert.Equal(0, await host.StopAsync());
        Assert.All(pids, pid => Assert.False(IsRunning(pid), $"process {pid} is still running"));
    }

    private static string MiniVersion()
    {
        using JsonDocument manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(MeshHost.RepositoryRoot, "models", "mini", "manifest.json")));
        return manifest.RootElement.GetProperty("version").GetString()!;
    }

    private static bool IsRunning(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
