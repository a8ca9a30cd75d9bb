using Mesh.Contracts;

namespace Mesh.SequenceStore.Tests;

public sealed class ErasureTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Nothing_of_an_erased_user_is_left_but_the_tombstone()
    {
        LogBench bench = await FilledAsync(requests: 600);

        await bench.Erasure.EraseAsync("u1", None);

        Assert.Equal(["u:u1:h"], bench.State.Keys);
        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 100, None);
        Assert.Equal((0L, 0L, 0, 0), (context.Version, context.EventsTotal, context.Engaged.Count, context.Served.Count));
        Assert.Equal(new SocialProfile(), context.Profile);
    }

    [Fact]
    public async Task Another_user_is_untouched()
    {
        LogBench bench = await FilledAsync(requests: 3);
        await bench.Log.AppendAsync("u2", [Engagements.Event(7, Engagements.EpochMs, "u2")], None);
        await bench.Requests.AppendAsync("u2", Request(5_000, "u2"), None);

        await bench.Erasure.EraseAsync("u1", None);

        Assert.Single((await bench.Reader.HistoryAsync("u2", long.MaxValue, 10, None)).Events);
        Assert.NotNull(await bench.Requests.FindAsync(Ulid.Parse(Request(5_000, "u2").RequestId), None));
    }

    [Fact]
    public async Task What_was_accepted_before_the_erasure_and_comes_after_it_does_not_bring_the_user_back()
    {
        LogBench bench = await FilledAsync(requests: 0);
        await bench.Erasure.EraseAsync("u1", None);
        long erasedMs = bench.Clock.GetUtcNow().ToUnixTimeMilliseconds();

        await bench.Log.AppendAsync("u1", [Engagements.Event(900, erasedMs - 5, receivedAtMs: erasedMs)], None);
        await bench.Served.MarkAsync("u1", [Page(1, erasedMs, "a")], None);
        await bench.Requests.AppendAsync("u1", Request(1, "u1", erasedMs), None);

        Assert.Equal(["u:u1:h"], bench.State.Keys);
    }

    [Fact]
    public async Task A_user_who_comes_back_starts_afresh_under_a_version_never_used_before()
    {
        LogBench bench = await FilledAsync(requests: 0);
        long versionBefore = (await bench.Reader.ContextAsync("u1", long.MaxValue, 0, None)).Version;
        await bench.Erasure.EraseAsync("u1", None);
        long erasedMs = bench.Clock.GetUtcNow().ToUnixTimeMilliseconds();

        await bench.Log.AppendAsync("u1", [Engagements.Event(1, erasedMs, receivedAtMs: erasedMs + 1)], None);

        UserContext context = await bench.Reader.ContextAsync("u1", long.MaxValue, 100, None);
        Assert.Equal(1, context.EventsTotal);
        Assert.True(context.Version > versionBefore);
    }

    [Fact]
    public async Task Erasing_again_and_erasing_a_stranger_are_fine()
    {
        LogBench bench = await FilledAsync(requests: 1);

        await bench.Erasure.EraseAsync("u1", None);
        await bench.Erasure.EraseAsync("u1", None);
        await bench.Erasure.EraseAsync("stranger", None);

        Assert.Equal(["u:stranger:h", "u:u1:h"], bench.State.Keys.Order());
    }

    [Fact]
    public async Task An_erasure_that_died_half_way_is_finished_by_the_next()
    {
        LogBench bench = await FilledAsync(requests: 600);
        int gets = 0;
        bench.State.BeforeGet = _ => ++gets == 3 ? throw new IOException("The sidecar is gone.") : Task.CompletedTask;

        await Assert.ThrowsAsync<IOException>(() => bench.Erasure.EraseAsync("u1", None));
        Assert.Contains(bench.State.Keys, key => key.StartsWith("r:", StringComparison.Ordinal));
        bench.State.BeforeGet = null;
        await bench.Erasure.EraseAsync("u1", None);

        Assert.Equal(["u:u1:h"], bench.State.Keys);
    }

    private static async Task<LogBench> FilledAsync(int requests)
    {
        var bench = new LogBench();
        await bench.Log.AppendAsync("u1", [.. Enumerable.Range(0, 50).Select(i => Engagements.Event(i, Engagements.EpochMs - 100 + i))], None);
        await bench.Profile.ChangeAsync("u1", new ProfileChange { List = ProfileList.Follows, Value = "author" }, None);
        await bench.Served.MarkAsync("u1", [Page(0, Engagements.EpochMs, "a", "b")], None);
        for (int i = 0; i < requests; i++) await bench.Requests.AppendAsync("u1", Request(i, "u1"), None);
        return bench;
    }

    private static Impressions Page(int index, long timeMs, params string[] items) => new()
    {
        EventId = Engagements.EventId(2_000_000 + index), RequestId = Engagements.EventId(2_000_000 + index), UserId = "u1", TimeMs = timeMs, ItemIds = { items },
    };

    private static RequestLogEntry Request(int index, string user, long timeMs = Engagements.EpochMs) =>
        new() { RequestId = Engagements.EventId(3_000_000 + index), UserId = user, TimeMs = timeMs };
}
