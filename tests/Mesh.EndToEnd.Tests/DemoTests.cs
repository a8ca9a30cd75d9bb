using System.Diagnostics;
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

        Feed feed = await mesh.FeedAsync(user, explain: true);
        await Eventually.TrueAsync("the demo's world is in the feed", async () =>
        {
            feed = await mesh.FeedAsync(user, explain: true);
            return feed.Items.Length == 30 && feed.Items.Any(item => item.InNetwork) && feed.Items.Any(item => !item.InNetwork);
        }, () => Task.FromResult($"{feed.Items.Length} items, {feed.Items.Count(item => item.InNetwork)} in network"), withinSeconds: 60);

        Assert.Empty(feed.Degraded);
        Assert.All(feed.Items, item => Assert.NotNull(item.Explain));
        Assert.Contains("/swagger", host.Output, StringComparison.Ordinal);

        string[] apps = ["gateway", "sequence-store", "retrieval", "ranker", "index-updater"];
        int[] pids = [.. apps.Select(host.AppPid)];
        Assert.Equal(0, await host.StopAsync());
        Assert.All(pids, pid => Assert.False(IsRunning(pid), $"process {pid} is still running"));
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
