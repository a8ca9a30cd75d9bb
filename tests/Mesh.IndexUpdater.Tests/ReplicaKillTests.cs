using System.Globalization;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.IndexUpdater.Tests;

/// <summary>
/// kill -9 of real processes, index-updater and two replicas of retrieval, at moments drawn by a seed while items come, change and go: in the end every
/// replica holds the rows of the log, in its versions. FEEDMESH_KILL_ROUNDS kills more often than in CI, FEEDMESH_KILL_SEED draws other moments.
/// </summary>
public sealed class ReplicaKillTests
{
    private const int Items = 80, MessagesPerRound = 60;

    [Fact]
    public async Task Whoever_is_killed_and_whenever_the_replicas_end_with_the_rows_and_versions_of_the_log()
    {
        int rounds = Setting("FEEDMESH_KILL_ROUNDS", 4), seed = Setting("FEEDMESH_KILL_SEED", 1);
        var random = new Random(seed);
        await using UpdaterProcess updater = await UpdaterProcess.StartAsync();
        ServiceProcess[] all = [updater.Process, await updater.StartReplicaAsync("replica-a"), await updater.StartReplicaAsync("replica-b")];
        var history = new History(random, UpdaterProcess.NowMs);

        for (int round = 0; round < rounds; round++)
        {
            // Each of the three in the first rounds, then any; where the draw says so another one while the first comes back.
            ServiceProcess victim = all[round < all.Length ? round : random.Next(all.Length)], other = all[random.Next(all.Length)];
            int killAt = random.Next(MessagesPerRound / 2), killOtherAt = killAt + random.Next(MessagesPerRound);
            List<Task> restarts = [];
            for (int i = 0; i < MessagesPerRound; i++)
            {
                if (i == killAt) restarts.Add(RestartAsync(victim));
                if (i == killOtherAt && other != victim) restarts.Add(RestartAsync(other));
                (string topic, IMessage message) = history.Next();
                await updater.PublishAsync(topic, [message]);
            }

            await Task.WhenAll(restarts);
        }

        // Each topic is delivered in order: where the last of each is in the log, all are.
        foreach ((string topic, IMessage message) in history.Last()) await updater.PublishAsync(topic, [message]);
        string drawn = string.Create(CultureInfo.InvariantCulture, $"seed {seed}, {rounds} rounds");
        await updater.UntilAsync(
            async () => await updater.GetAsync<ItemRow>($"items/{History.LastId}") is { Eligibility.Hidden: true, Counters: { } counters } && counters.Counts.Any(count => count > 0.9f),
            $"the log has taken everything ({drawn})");
        RowsDigest log = Assert.IsType<RowsDigest>(await updater.GetAsync<RowsDigest>("digest?shard=0"));

        foreach (ServiceProcess replica in all[1..])
        {
            RowsDigest? held = null;
            await replica.UntilAsync(
                async () => (held = await replica.GetAsync<RowsDigest>("digest")) is not null && (held.Items, held.Digest) == (log.Items, log.Digest),
                () => $"a replica has {log}; it has {held} ({drawn})");
            Assert.True(held!.Sequence >= log.Sequence, $"{held} is not past {log} ({drawn})");
            Assert.Equal(log.ModelVersion, held.ModelVersion);
        }

        Assert.Equal(history.Live.Count, log.Items);
        foreach (string id in History.Ids) Assert.Equal(history.Live.Contains(id), await updater.GetAsync<ItemRow>($"items/{id}") is not null);
    }

    private static async Task RestartAsync(ServiceProcess process)
    {
        await process.KillAsync();
        await process.StartAsync();
    }

    private static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : standard;

    /// <summary>Messages about few items, and which are to be there after all of them.</summary>
    private sealed class History(Random random, long nowMs)
    {
        public const string LastId = "last";

        private long _timeMs = nowMs;

        public static IEnumerable<string> Ids => Enumerable.Range(0, Items).Select(i => $"item-{i}").Append(LastId);

        /// <summary>Items that were published and not deleted since.</summary>
        public HashSet<string> Live { get; } = new(StringComparer.Ordinal);

        public (string Topic, IMessage Message) Next()
        {
            string id = $"item-{random.Next(Items)}";
            return random.Next(10) switch
            {
                < 5 => Upsert(id),
                5 => Delete(id),
                6 => Hide(id, random.Next(2) == 0),
                _ => Like(id),
            };
        }

        public IEnumerable<(string Topic, IMessage Message)> Last() => [Upsert(LastId), Hide(LastId, true), Like(LastId)];

        private (string, IMessage) Upsert(string id)
        {
            Live.Add(id);
            var item = new Item { ItemId = id, AuthorId = $"author-{random.Next(5)}", Text = $"words {random.Next()} about {id}", CreatedAtMs = _timeMs };
            return (Topics.Items, new ItemChange { EventId = NewId(), TimeMs = ++_timeMs, Upserted = item });
        }

        private (string, IMessage) Delete(string id)
        {
            Live.Remove(id);
            return (Topics.Items, new ItemChange { EventId = NewId(), TimeMs = ++_timeMs, DeletedItemId = id });
        }

        private (string, IMessage) Hide(string id, bool hidden) => (
            Topics.Eligibility, new EligibilityChange { EventId = NewId(), TimeMs = ++_timeMs, ItemId = id, Fields = { "hidden" }, Eligibility = new Eligibility { Hidden = hidden } });

        private (string, IMessage) Like(string id) => (
            Topics.Engagements, new Engagement { EventId = NewId(), UserId = "user", ItemId = id, Action = "like", TimeMs = ++_timeMs, ReceivedAtMs = _timeMs });

        private static string NewId() => Ulid.NewUlid().ToString();
    }
}
