using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.IndexUpdater.Catalogue;

namespace Mesh.IndexUpdater.Tests;

public sealed class CountingTests
{
    private const long T = ShardRig.EpochMs;

    [Fact]
    public async Task Counters_equal_a_plain_sum_over_all_events_late_doubled_and_early_ones_included()
    {
        await using var rig = new ShardRig(new IndexUpdaterOptions { CounterHalfLifeHours = 2 });
        var random = new Random(5);
        var events = Enumerable.Range(0, 600).Select(_ => rig.Count(random.Next(15), T - random.Next(12 * 3_600_000), $"item-{random.Next(10)}")).ToList();
        for (int start = 0; start < events.Count; start += 50)
        {
            CounterEvent[] delivery = [.. events.Skip(start).Take(50).Concat(events.Take(start).Where(_ => random.Next(10) == 0))];
            random.Shuffle(delivery);
            await rig.ApplyAsync(delivery);
            if (start == 200) await rig.ApplyAsync([.. Enumerable.Range(0, 10).Select(i => rig.Upsert($"item-{i}"))]);
            if (start == 300) await rig.SnapshotAsync();
            if (start % 150 == 0) await rig.RestartAsync();
        }

        for (int item = 0; item < 10; item++)
        {
            Counters counters = (await rig.Writer.FindAsync($"item-{item}", default))!.Counters;
            for (int counter = 0; counter < 15; counter++)
            {
                double plain = events.Where(counted => counted.ItemIds[0] == $"item-{item}" && counted.Counter == counter)
                    .Sum(counted => Math.Pow(0.5, (counters.AsOfMs - counted.TimeMs) / (2 * 3_600_000.0)));
                Assert.Equal(plain, counters.Counts[counter], 1e-3);
            }
        }
    }

    [Fact]
    public async Task An_event_counts_once_on_each_of_its_items_and_gives_one_delta_per_item()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"), rig.Upsert("b"));
        CounterEvent page = rig.Count(ActionTaxonomy.Default.ImpressionIndex, T, "a", "b");

        await rig.ApplyAsync(page, rig.Count(0, T, "a"), page, rig.Count(0, T, "a"));

        IndexDelta[] deltas = [.. rig.Publisher.Deltas.Skip(2)];
        Assert.Equal(["a", "b"], deltas.Select(delta => delta.Engagement.ItemId));
        Assert.Equal(2f, deltas[0].Engagement.Counters.Counts[0]);
        Assert.Equal(1f, deltas[0].Engagement.Counters.Counts[14]);
        Assert.Equal(1f, deltas[1].Engagement.Counters.Counts[14]);
    }

    [Fact]
    public async Task A_clock_that_runs_ahead_does_not_carry_the_counters_into_the_future()
    {
        await using var rig = new ShardRig();
        await rig.ApplyAsync(rig.Upsert("a"));

        await rig.ApplyAsync(rig.Count(0, T + 1_000_000_000, "a"));

        Assert.Equal(T, (await rig.Writer.FindAsync("a", default))!.Counters.AsOfMs);
    }

    [Fact]
    public void The_dedupe_window_knows_the_newest_ids_and_only_those()
    {
        var window = new DedupeWindow();
        for (ulong id = 1; id <= DedupeWindow.Size + 100; id++) window.Add(id);

        Assert.False(window.Contains(100));
        Assert.True(window.Contains(101));
        Assert.True(window.Contains(DedupeWindow.Size + 100));
    }

    [Fact]
    public void The_dedupe_window_comes_back_from_the_pages_that_its_appends_wrote()
    {
        var stored = new Dictionary<int, EventHashes>();
        var window = new DedupeWindow();
        var random = new Random(1);
        ulong next = 1;
        while (next < DedupeWindow.Size * 2)
        {
            ulong[] added = [.. Enumerable.Range(0, random.Next(1, 3_000)).Select(_ => next++)];
            Dictionary<int, EventHashes> pages = window.PagesWith(added);
            Assert.InRange(pages.Count, 1, (added.Length / DedupeWindow.PageSize) + 2);
            foreach ((int page, EventHashes hashes) in pages) stored[page] = hashes;
            foreach (ulong id in added) window.Add(id);

            DedupeWindow read = DedupeWindow.Load(window.Seen, stored);
            foreach (ulong id in new[] { next - 1, next - (ulong)added.Length, next > DedupeWindow.Size ? next - DedupeWindow.Size : 1, next - 1 - (ulong)random.Next(Math.Min((int)next - 1, 40_000)) })
            {
                Assert.Equal(window.Contains(id), read.Contains(id));
            }
        }
    }
}
