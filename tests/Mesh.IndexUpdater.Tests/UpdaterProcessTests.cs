using Mesh.Contracts;
using Mesh.Testing;

namespace Mesh.IndexUpdater.Tests;

/// <summary>The whole service with the official SDK on both ends of a real sidecar: actor, reminder, state, topics, binding.</summary>
public sealed class UpdaterProcessTests
{
    [Fact]
    public async Task An_item_is_a_delta_within_two_seconds_and_the_reminder_makes_a_snapshot()
    {
        await using UpdaterProcess updater = await UpdaterProcess.StartAsync();
        await updater.PublishAsync(Topics.Items, [Upsert("warm-up")]);
        await updater.UntilAsync(() => Task.FromResult(updater.Received.Count > 0), "the first delta arrives");

        long published = UpdaterProcess.NowMs;
        await updater.PublishAsync(Topics.Items, [Upsert("item")]);
        await updater.UntilAsync(() => Task.FromResult(updater.Received.Any(received => received.Delta.Upserted?.Item.ItemId == "item")), "the delta arrives");
        await updater.PublishAsync(Topics.Engagements, [Engage("item"), Engage("item")]);
        await updater.UntilAsync(async () => (await updater.GetAsync<ItemRow>("items/item"))?.Counters?.Counts[0] > 1.99f, "both likes are counted");
        await updater.UntilAsync(async () => await updater.GetAsync<SnapshotManifest>("snapshots/latest?shard=0") is { Items: 2 }, "the reminder makes a snapshot");

        Assert.InRange(updater.Received.First(received => received.Delta.Upserted?.Item.ItemId == "item").ReceivedMs - published, 0, 2_000);
        UpdaterStatus status = (await updater.GetAsync<UpdaterStatus>("status?shard=0"))!;
        Assert.Equal(2, status.Items);
        Assert.Equal((ModelVariant.MiniVersion, ""), (status.ModelVersion, status.NextModelVersion));
        SnapshotManifest snapshot = (await updater.GetAsync<SnapshotManifest>("snapshots/latest?shard=0"))!;
        Assert.Contains(snapshot.Files, file => file.Kind == "user-tower");
    }

    [Fact]
    public async Task Kill_nine_in_the_middle_of_a_stream_loses_nothing_and_counts_nothing_twice()
    {
        const int items = 300;
        await using UpdaterProcess updater = await UpdaterProcess.StartAsync();
        Task itemStream = updater.PublishAsync(Topics.Items, [.. Enumerable.Range(0, items).Select(i => Upsert($"item-{i}"))]);
        Task likeStream = updater.PublishAsync(Topics.Engagements, [.. Enumerable.Range(0, 2 * items).Select(i => Engage($"item-{i % items}"))]);
        for (int kill = 1; kill <= 2; kill++)
        {
            int enough = kill * items / 3;
            await updater.UntilAsync(() => Task.FromResult(updater.Received.Count > enough), $"{enough} deltas arrive");
            await updater.KillAsync();
            await updater.StartProcessAsync();
        }

        await Task.WhenAll(itemStream, likeStream);
        await updater.UntilAsync(async () => await updater.GetAsync<UpdaterStatus>("status") is { Items: items }, "every item is there");
        for (int i = 0; i < items; i++)
        {
            string path = $"items/item-{i}";
            await updater.UntilAsync(async () => (await updater.GetAsync<ItemRow>(path))?.Counters?.Counts[0] > 1.9f, $"both likes of item {i} are counted");
            Assert.InRange((await updater.GetAsync<ItemRow>(path))!.Counters.Counts[0], 1.9f, 2.01f);
        }

        ulong head = (await updater.GetAsync<UpdaterStatus>("status"))!.HeadSequence;
        await updater.UntilAsync(() => Task.FromResult(updater.Received.Any(received => received.Delta.Sequence >= head)), "the newest delta arrives");
        AssertOneHistory(updater);
    }

    [Fact]
    public async Task Started_with_another_number_of_shards_it_ends_with_the_reason_and_events_wait_for_the_right_one()
    {
        await using UpdaterProcess updater = await UpdaterProcess.StartAsync();
        await updater.PublishAsync(Topics.Items, [Upsert("before")]);
        await updater.UntilAsync(async () => await updater.GetAsync<ItemRow>("items/before") is not null, "the item is there");
        await updater.KillAsync();

        updater.Process.Launch(new Dictionary<string, string> { ["IndexUpdater__Shards"] = "2" });
        int code = await updater.Process.EndAsync();
        await updater.PublishAsync(Topics.Items, [Upsert("meanwhile")]);
        await updater.StartProcessAsync();

        Assert.Equal(1, code);
        Assert.Contains(
            "Shard 0 was written when items were spread over 1 shards; IndexUpdater:Shards is 2. Set it back to 1, or spread the items anew: docs/shards.md.",
            updater.Process.Output, StringComparison.Ordinal);
        await updater.UntilAsync(async () => await updater.GetAsync<ItemRow>("items/meanwhile") is not null, "what waited is there");
    }

    // Published again after a crash, a sequence number carries the same delta; and none is missing.
    private static void AssertOneHistory(UpdaterProcess updater)
    {
        var bySequence = updater.Received.Select(received => received.Delta).GroupBy(delta => delta.Sequence).OrderBy(same => same.Key).ToList();
        Assert.Equal(Enumerable.Range(1, bySequence.Count).Select(sequence => (ulong)sequence), bySequence.Select(same => same.Key));
        Assert.All(bySequence, same => Assert.Single(same.Distinct()));
    }

    private static ItemChange Upsert(string id) => new()
    {
        EventId = Ulid.NewUlid().ToString(),
        TimeMs = UpdaterProcess.NowMs,
        Upserted = new Item { ItemId = id, AuthorId = "author", Text = $"words about {id}", CreatedAtMs = UpdaterProcess.NowMs },
    };

    private static Engagement Engage(string item) => new()
    {
        EventId = Ulid.NewUlid().ToString(), UserId = "user", ItemId = item, Action = "like", TimeMs = UpdaterProcess.NowMs, ReceivedAtMs = UpdaterProcess.NowMs,
    };
}
