using System.Collections.Concurrent;
using System.Globalization;
using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Loop;

/// <summary>What one seed gave: each arm's users in the same order, and what served them.</summary>
internal sealed record SeedResult(
    int Seed, IReadOnlyDictionary<string, IReadOnlyList<LoopUser>> Users, IReadOnlyDictionary<string, IReadOnlyList<Tally>> Bounds,
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, int>> PagesByServer, IReadOnlyDictionary<string, int> Degraded, int Foreign);

/// <summary>
/// Serves the users of a world from a running mesh: a user asks, looks, acts; the events go back with the request's id, and the next
/// request is sent when the mesh has taken them in. Each user lives once in each arm and is shown what that arm chooses.
/// </summary>
internal sealed class ClosedLoop(FeedApi api, LoopOptions options, IImportProgress progress, TimeProvider clock)
{
    private const string Surface = "home";

    private readonly MeshClient _mesh = new(api, clock, options.Patience);
    private readonly ConcurrentDictionary<(string Arm, string Server), int> _servers = new();
    private readonly ConcurrentDictionary<string, int> _degraded = new(StringComparer.Ordinal);
    private int _foreign;

    /// <exception cref="FeedApiException">The mesh refused a call, stayed away, or does not take in what it accepted.</exception>
    /// <exception cref="DataException">The mesh cannot serve the arms.</exception>
    public async Task<IReadOnlyList<SeedResult>> RunAsync(CancellationToken cancellation)
    {
        MeshState state = await _mesh.StateAsync(cancellation);
        foreach (string arm in options.Arms)
        {
            if (!state.RankerArms.Contains(arm)) throw new DataException($"The ranker has no arm {arm}; it has {string.Join(", ", state.RankerArms)}.");
        }

        var users = new Dictionary<int, IReadOnlyList<LoopUser>>();
        foreach (int seed in options.Seeds)
        {
            progress.Begin($"seed {seed}: users", options.Users);
            users[seed] = await ArmIds.FindAsync(_mesh, options, user => IdPrefix(seed) + SyntheticWorld.UserId(user), () => progress.Advance(1), cancellation);
        }

        var results = new List<SeedResult>();
        foreach (int seed in options.Seeds) results.Add(await ServeWorldAsync(seed, users[seed], cancellation));
        return results;
    }

    private string IdPrefix(int seed) => string.Create(CultureInfo.InvariantCulture, $"s{seed}-{options.Run}");

    private async Task<SeedResult> ServeWorldAsync(int seed, IReadOnlyList<LoopUser> users, CancellationToken cancellation)
    {
        _servers.Clear();
        _degraded.Clear();
        _foreign = 0;
        SyntheticWorld world = SyntheticWorld.Create(new SyntheticOptions
        {
            Seed = seed, Users = options.Users, Authors = options.Authors, Items = options.Items, Events = 0, End = clock.GetUtcNow(),
            IdPrefix = IdPrefix(seed),
        });
        long before = (await _mesh.StateAsync(cancellation)).Items;
        ImportSummary import = await new Importer(api, new ImportOptions { Concurrency = options.Concurrency }, clock).RunAsync(new LoopWorld(world, users), progress, cancellation);
        if (import.Rejected > 0) throw new DataException($"The mesh refused {import.Rejected} rows of world {seed}:{Environment.NewLine}{import}");
        await _mesh.UntilIndexHoldsAsync(before + options.Items, cancellation);

        progress.Begin($"seed {seed}: requests", users.Count * options.RequestsPerUser);
        var viewer = new Viewer(world);
        Dictionary<string, int> items = Enumerable.Range(0, options.Items).ToDictionary(world.IdOfItem, StringComparer.Ordinal);
        for (int round = 0; round < options.RequestsPerUser; round++)
        {
            LoopUser[] order = [.. users];
            new Random(seed ^ round).Shuffle(order); // no arm is always the first to ask
            await EachAsync(order, (user, cancelled) => ServePageAsync(world, viewer, items, user, cancelled), cancellation);
        }

        await RemoveItemsAsync(seed, [.. items.Keys], before, cancellation);
        return new SeedResult(
            seed, options.Arms.ToDictionary(arm => arm, arm => (IReadOnlyList<LoopUser>)[.. users.Where(user => user.Arm == arm)], StringComparer.Ordinal),
            Bounds.Of(world, viewer, options),
            options.Arms.ToDictionary(
                arm => arm, arm => (IReadOnlyDictionary<string, int>)_servers.Where(pair => pair.Key.Arm == arm).ToDictionary(pair => pair.Key.Server, pair => pair.Value), StringComparer.Ordinal),
            new Dictionary<string, int>(_degraded), _foreign);
    }

    private async ValueTask ServePageAsync(SyntheticWorld world, Viewer viewer, Dictionary<string, int> items, LoopUser user, CancellationToken cancellation)
    {
        await _mesh.UntilLogHoldsAsync(user.Id, user.Events, cancellation);
        FeedPage page = await _mesh.FeedAsync(user.Id, options.PageItems, Surface, user.Cursor, cancellation);
        user.Cursor = page.NextCursor;
        // The arm of a page is the one that scored it: another where the asked one was late or broken.
        _servers.AddOrUpdate((user.Arm, $"{page.Arm} {page.ModelVersion}".Trim()), 1, (_, count) => count + 1);
        foreach (string stage in page.Degraded) _degraded.AddOrUpdate(stage, 1, (_, count) => count + 1);
        int[] shown = [.. page.ItemIds.Select(id => items.GetValueOrDefault(id, -1))];
        Interlocked.Add(ref _foreign, shown.Count(item => item < 0));

        List<Act> acts = viewer.Look(user.Index, user.Pages.Count, shown);
        user.Pages.Add(Tally.Of(world, user.Index, shown, acts));
        await TellAsync(world, user, page.RequestId, acts, cancellation);
        progress.Advance(1);
    }

    // A client reports what its user did, and follows or blocks whom the user says. Times are now, a millisecond apart, so that
    // they keep their order and are over when the next page is asked for.
    private async Task TellAsync(SyntheticWorld world, LoopUser user, string requestId, List<Act> acts, CancellationToken cancellation)
    {
        if (acts.Count == 0) return;
        long nowMs = clock.GetUtcNow().ToUnixTimeMilliseconds();
        EventBody[] events =
        [
            .. acts.Select((act, order) => new EventBody
            {
                EventId = EventIds.Make(nowMs + order, "loop", user.Id, world.IdOfItem(act.Item), act.Action), UserId = user.Id, ItemId = world.IdOfItem(act.Item),
                Action = act.Action, Time = nowMs + order, Value = act.Value, RequestId = requestId, Surface = Surface,
            }),
        ];
        foreach (EventBody[] batch in events.Chunk(Limits.BatchMax))
        {
            BatchAnswer answer = await api.PostEventsAsync(batch, cancellation);
            if (answer.Rejected is [var refused, ..]) throw new FeedApiException($"An event of {user.Id} was refused: {refused.Reason}");
            user.Events += answer.Accepted;
        }

        foreach ((string action, string list) in ((string, string)[])[("follow_author", "follows"), ("block_author", "blocks")])
        {
            foreach (int author in acts.Where(act => act.Action == action).Select(act => world.Catalogue[act.Item].Author).Distinct())
            {
                string? refusal = await api.CallAsync(HttpMethod.Put, $"v1/users/{user.Id}/{list}/{world.IdOfAuthor(author)}", cancellation);
                if (refusal is not null) throw new FeedApiException(refusal);
            }
        }
    }

    // The next world must not be mixed with this one.
    private async Task RemoveItemsAsync(int seed, string[] ids, long before, CancellationToken cancellation)
    {
        progress.Begin($"seed {seed}: removing items", ids.Length);
        await EachAsync(ids, async (id, cancelled) =>
        {
            if (await api.CallAsync(HttpMethod.Delete, $"v1/items/{id}", cancelled) is { } refusal) throw new FeedApiException(refusal);
            progress.Advance(1);
        }, cancellation);
        await _mesh.UntilIndexHoldsAsync(before, cancellation);
    }

    private Task EachAsync<T>(IEnumerable<T> all, Func<T, CancellationToken, ValueTask> body, CancellationToken cancellation) =>
        Parallel.ForEachAsync(all, new ParallelOptions { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancellation }, body);

    /// <summary>A world's items, and its follows for every user's ids.</summary>
    private sealed class LoopWorld(SyntheticWorld world, IReadOnlyList<LoopUser> users) : IDataSet
    {
        public string Name => world.Name;

        public int? ItemCount => world.ItemCount;

        public int? FollowCount => users.Sum(user => world.Population[user.Index].Follows.Length);

        public int? EventCount => 0;

        public IEnumerable<ItemBody> Items() => world.Items();

        public IEnumerable<FollowBody> Follows() =>
            users.SelectMany(user => world.Population[user.Index].Follows.Select(author => new FollowBody(user.Id, world.IdOfAuthor(author))));

        public IEnumerable<EventBody> Events() => [];
    }
}
