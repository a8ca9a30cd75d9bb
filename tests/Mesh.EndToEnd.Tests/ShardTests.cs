using System.Text.Json;
using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.EndToEnd.Tests;

/// <summary>The whole mesh with two shards of the index: everything is found, and one shard that dies costs its items alone.</summary>
public sealed class ShardTests
{
    [Fact]
    public async Task Two_shards_serve_one_feed_and_a_dead_one_degrades_it()
    {
        await using MeshHost host = await MeshHost.StartAsync(new MeshHostOptions { Arguments = ["--shards", "2", "--no-restart"] });
        var mesh = new MeshApi(host.Http);
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        List<ItemRow> items = SmallWorld.Items(15, now);
        await mesh.PostItemsAsync(items);
        await mesh.PostEventsAsync([.. Enumerable.Range(0, 6).Select(i => SmallWorld.Event("u", $"cooking-{i}", "like", now - 10_000 + i))]);
        await Eventually.TrueAsync("every item is in its shard", async () =>
        {
            foreach (ItemRow item in items)
            {
                if (!await mesh.IsRetrievableAsync(item.ItemId)) return false;
            }

            return (await mesh.HistoryAsync("u")).Events.Length == 6;
        }, async () => (await mesh.SystemAsync()).GetProperty("index").ToString());

        JsonElement[] shards = [.. (await mesh.SystemAsync()).GetProperty("index").GetProperty("shards").EnumerateArray()];
        Feed whole = await mesh.FeedAsync("u", limit: 60);
        await Eventually.TrueAsync("a warm mesh serves the whole feed", async () =>
        {
            whole = await mesh.FeedAsync("u", limit: 60);
            return whole.Degraded.Length == 0;
        }, () => Task.FromResult(string.Join("; ", whole.Degraded.AsEnumerable())));

        Assert.Equal(["retrieval-0", "retrieval-1"], shards.Select(shard => shard.GetProperty("appId").GetString()));
        Assert.All(shards, shard => Assert.Equal(JsonValueKind.Null, shard.GetProperty("fault").ValueKind));
        Assert.Equal(items.GroupBy(item => ShardOf(item.ItemId)).OrderBy(group => group.Key).Select(group => group.Count()), shards.Select(shard => shard.GetProperty("items").GetInt32()));
        Assert.Equal([0, 1], whole.ItemIds.Select(ShardOf).Distinct().Order());
        Assert.Contains(whole.Items, item => item.Sources.Contains("two-tower"));

        host.KillApp("retrieval-1");
        Feed half = whole;
        await Eventually.TrueAsync("the feed says that it is without the shard", async () =>
        {
            half = await mesh.FeedAsync("u", limit: 60);
            return half.Degraded.Any(part => part.Stage == "retrieval/retrieval-1");
        }, () => Task.FromResult(string.Join("; ", half.Degraded.AsEnumerable())));

        Assert.NotEmpty(half.Items);
        Assert.All(half.ItemIds, id => Assert.Equal(0, ShardOf(id)));
        JsonElement dead = (await mesh.SystemAsync()).GetProperty("index").GetProperty("shards")[1];
        Assert.Equal(JsonValueKind.String, dead.GetProperty("fault").ValueKind);
    }

    [Fact]
    public async Task Data_of_one_shard_is_not_taken_for_that_of_two()
    {
        string data = Path.Combine(Path.GetTempPath(), $"feedmesh-{Guid.NewGuid():N}");
        try
        {
            await using (MeshHost one = await MeshHost.StartAsync(new MeshHostOptions { DataDirectory = data }))
            {
                var mesh = new MeshApi(one.Http);
                await mesh.PostItemsAsync(SmallWorld.Items(1, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()));
                await Eventually.TrueAsync("an item is in the index", () => mesh.IsRetrievableAsync("cooking-0"));
            }

            await using MeshHost two = MeshHost.Launch(new MeshHostOptions { DataDirectory = data, Arguments = ["--shards", "2"] });

            await Eventually.TrueAsync(
                "index-updater says why it does not start", () => Task.FromResult(two.Output.Contains("index-updater is gone (exit code 1)", StringComparison.Ordinal)),
                () => Task.FromResult(two.Output), withinSeconds: 90);
            Assert.Contains("Shard 0 was written when items were spread over 1 shards; IndexUpdater:Shards is 2. Set it back to 1", two.Output, StringComparison.Ordinal);
        }
        finally
        {
            if (Directory.Exists(data)) Directory.Delete(data, recursive: true);
        }
    }

    private static int ShardOf(string itemId) => (int)(ItemHash.Compute(itemId) % 2);
}
