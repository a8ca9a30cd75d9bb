using Mesh.Contracts;

namespace Mesh.SequenceStore.Tests;

/// <summary>
/// Seeded operations against a model in plain collections: appends with late and duplicate events, profile changes, served
/// pages, request log, erasures, with transactions that fail before or after their commit and are repeated, and with every
/// object thrown away and made anew over the same store in between.
/// </summary>
public sealed class UserModelTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task The_store_agrees_with_the_model_after_every_operation(int seed)
    {
        var random = new Random(seed);
        var state = new InMemoryUserState();
        var bench = new LogBench(chunkEvents: 6, state: state);
        string[] users = ["ann", "bob", "cy:c"];
        Dictionary<string, UserModel> models = users.ToDictionary(user => user, _ => new UserModel());

        for (int step = 0; step < 300; step++)
        {
            string user = users[random.Next(users.Length)];
            if (random.Next(10) == 0) bench = Restarted(bench, state);
            bench.Clock.Advance(TimeSpan.FromMilliseconds(1));
            if (random.Next(4) == 0) state.NextTransaction = random.Next(2) == 0 ? InMemoryUserState.Fault.BeforeCommit : InMemoryUserState.Fault.AfterCommit;

            await RepeatedAsync(Operation(random, step, user, models[user], bench));
            state.NextTransaction = InMemoryUserState.Fault.None;
            await AgreesAsync(bench, user, models[user], random);
        }
    }

    private static Func<Task> Operation(Random random, int step, string user, UserModel model, LogBench bench)
    {
        long nowMs = bench.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        switch (random.Next(20))
        {
            case < 12:
                Engagement[] batch = [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => EventOf(random.Next(model.Accepting, model.Accepting + 150), user, nowMs))];
                model.Events.AddRange(batch);
                return () => bench.Log.AppendAsync(user, batch, None);
            case < 15:
                var change = new ProfileChange { List = ProfileList.Follows, Value = $"author-{random.Next(6)}", Remove = random.Next(3) == 0 };
                if (change.Remove) model.Follows.Remove(change.Value);
                else if (!model.Follows.Contains(change.Value)) model.Follows.Add(change.Value);
                return () => bench.Profile.ChangeAsync(user, change, None);
            case < 17:
                var page = new Impressions { EventId = Engagements.EventId(5_000_000 + step), UserId = user, TimeMs = nowMs, ItemIds = { $"s{random.Next(30)}", $"s{random.Next(30, 60)}" } };
                foreach (string item in page.ItemIds)
                {
                    model.Served.Remove(item);
                    model.Served.Add(item);
                }

                return () => bench.Served.MarkAsync(user, [page], None);
            case < 19:
                var entry = new RequestLogEntry { RequestId = Engagements.EventId(6_000_000 + step), UserId = user, TimeMs = nowMs };
                model.Requests.Add(entry);
                return () => bench.Requests.AppendAsync(user, entry, None);
            default:
                model.Erase();
                return () => bench.Erasure.EraseAsync(user, None);
        }
    }

    // What a broker or a caller does: the outcome of a failed call is unknown, so it is made again.
    private static async Task RepeatedAsync(Func<Task> operation)
    {
        try
        {
            await operation();
        }
        catch (IOException)
        {
            await operation();
        }
    }

    private static async Task AgreesAsync(LogBench bench, string user, UserModel model, Random random)
    {
        List<Engagement> log = Engagements.Model(model.Events);
        UserContext context = await bench.Reader.ContextAsync(user, long.MaxValue, 4_096, None);
        Assert.Equal(log.Select(e => (e.ItemId, e.TimeMs)), context.Sequence.ItemIds.Zip(context.Sequence.TimesMs));
        Assert.Equal(model.Follows, context.Profile.Follows);
        Assert.Equal(model.Served.TakeLast(10).Select(ItemHash.Compute), context.Served);
        Assert.True(context.Version >= model.Version, $"version went from {model.Version} to {context.Version}");
        if (context.Version > 0) model.Version = context.Version;

        long asOf = Engagements.EpochMs + random.Next(100);
        UserHistory history = await bench.Reader.HistoryAsync(user, asOf, 9, None);
        Assert.Equal(log.Where(e => e.TimeMs <= asOf).Reverse().Take(9).Select(Engagements.AsStored), history.Events);

        foreach (RequestLogEntry gone in model.ErasedRequests.TakeLast(3)) Assert.Null(await bench.Requests.FindAsync(Ulid.Parse(gone.RequestId), None));
        foreach (RequestLogEntry kept in model.Requests.TakeLast(3)) Assert.Equal(kept, await bench.Requests.FindAsync(Ulid.Parse(kept.RequestId), None));
    }

    private static Engagement EventOf(int index, string user, long receivedAtMs) =>
        Engagements.Event(index, Engagements.EpochMs + (index * 31 % 100), user, receivedAtMs: receivedAtMs);

    private static LogBench Restarted(LogBench before, InMemoryUserState state)
    {
        var bench = new LogBench(chunkEvents: 6, state: state);
        bench.Clock.SetUtcNow(before.Clock.GetUtcNow());
        return bench;
    }

    private sealed class UserModel
    {
        public List<Engagement> Events { get; } = [];

        public List<string> Follows { get; } = [];

        public List<string> Served { get; } = [];

        public List<RequestLogEntry> Requests { get; } = [];

        public List<RequestLogEntry> ErasedRequests { get; } = [];

        public long Version { get; set; }

        // Ids of events that may come: another range after each erasure, since nobody re-uses the ids of what was erased.
        public int Accepting { get; private set; }

        public void Erase()
        {
            ErasedRequests.AddRange(Requests);
            Requests.Clear();
            Events.Clear();
            Follows.Clear();
            Served.Clear();
            Version = 0;
            Accepting += 1_000;
        }
    }
}
