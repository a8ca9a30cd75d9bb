using Mesh.Simulator.Import;
using Mesh.Simulator.KuaiRand;
using Mesh.Simulator.MovieLens;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>Public data sets through the REST API into a real mesh. Skipped, with the reason, where the data is absent.</summary>
public sealed class ImportTests
{
    [DataSetFact("ml-latest-small")]
    public async Task MovieLens_imports_whole_and_feeds_differ_and_repeat_nothing()
    {
        await using MeshHost host = await MeshHost.StartAsync();
        string folder = DataSet.Folder("ml-latest-small");

        await SimulatorProcess.RunAsync(host, "movielens", "--path", folder, "--batch", "1000");

        MovieLensDataSet data = MovieLensDataSet.Open(folder, rowsMax: null);
        Assert.Equal(100_836, data.EventCount);
        await AssertFeedsAsync(new MeshApi(host.Http), data, users: 4);
    }

    [DataSetFact("kuairand-pure")]
    public async Task KuaiRand_imports_and_its_exact_duplicates_count_once()
    {
        await using MeshHost host = await MeshHost.StartAsync();
        string folder = DataSet.Folder("kuairand-pure");

        await SimulatorProcess.RunAsync(host, "kuairand", "--path", folder, "--rows", "5000");
        await SimulatorProcess.RunAsync(host, "kuairand", "--path", folder, "--rows", "5000");

        await AssertFeedsAsync(new MeshApi(host.Http), KuaiRandDataSet.Open(folder, rowsMax: 5000), users: 4);
    }

    // The most active users that history can show whole: every event once, a full feed with nothing they engaged with, and no two feeds alike.
    private static async Task AssertFeedsAsync(MeshApi mesh, IDataSet data, int users)
    {
        var byUser = data.Events().GroupBy(row => row.UserId)
            .Select(user => (User: user.Key, Events: user.DistinctBy(row => row.EventId).ToArray()))
            .Where(user => user.Events.Length <= 1_000)
            .OrderByDescending(user => user.Events.Length).Take(users).ToArray();
        var feeds = new List<string>();
        foreach ((string user, Simulator.Rest.EventBody[] events) in byUser)
        {
            string[] ids = [];
            await Eventually.TrueAsync($"{user}'s {events.Length} events are in the log", async () =>
            {
                ids = [.. (await mesh.HistoryAsync(user)).Events.Select(row => row.EventId)];
                return ids.Length >= events.Length;
            }, () => Task.FromResult($"{ids.Length} events"), withinSeconds: 240);
            Assert.Equal(events.Select(row => row.EventId).Order(StringComparer.Ordinal), ids.Order(StringComparer.Ordinal));

            string[] feed = [];
            await Eventually.TrueAsync($"{user} gets a full feed", async () =>
            {
                feed = [.. (await mesh.FeedAsync(user, limit: 50)).ItemIds];
                return feed.Length == 50;
            }, () => Task.FromResult($"{feed.Length} items"), withinSeconds: 60);
            Assert.Empty(feed.Intersect(events.Select(row => row.ItemId)));
            feeds.Add(string.Join(' ', feed));
        }

        Assert.Equal(users, feeds.Distinct().Count());
    }
}
