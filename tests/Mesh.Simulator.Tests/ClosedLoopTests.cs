using System.Text.Json;
using System.Xml.Linq;
using Mesh.Contracts;
using Mesh.Simulator.Import;
using Mesh.Simulator.Loop;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Tests;

public sealed class ClosedLoopTests : IDisposable
{
    private static readonly LoopOptions Options = new()
    {
        Arms = ["good", "bad"], Seeds = [101, 102], Users = 12, RequestsPerUser = 4, Items = 120, Authors = 10, Run = "t-", Patience = TimeSpan.FromSeconds(20), Resamples = 500,
    };

    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public async Task The_arm_that_serves_what_users_want_wins_and_reaches_the_oracle()
    {
        await using FakeMesh mesh = await StartAsync(Truth);

        IReadOnlyList<SeedResult> seeds = await RunAsync(mesh, Options);
        var report = new LoopReport(Options, seeds);

        Comparison utility = report.Sections[0].Comparisons[0];
        Assert.Equal(report.Curves[Bounds.Oracle], report.Curves["good"]);
        Assert.True(utility.Differences["bad"].Low > 0, report.ToTable());
        Assert.True(utility.Arms["bad"].High < utility.Bounds[Bounds.Random]);
        Assert.Equal(["all seeds", "seed 101", "seed 102"], report.Sections.Select(section => section.Name));
        Assert.All(seeds, seed => Assert.Equal((48, 48), (seed.PagesByServer["good"]["good mini-1"], seed.PagesByServer["bad"]["bad heuristic-1"])));
    }

    [Fact]
    public async Task Two_arms_that_serve_the_same_do_not_differ_by_luck()
    {
        await using FakeMesh mesh = await StartAsync((user, _, item) => Truth(user, "good", item));

        var report = new LoopReport(Options, await RunAsync(mesh, Options));

        Assert.All(report.Sections.SelectMany(section => section.Comparisons), comparison => Assert.Equal(new Estimate(0, 0, 0), comparison.Differences["bad"]));
    }

    [Fact]
    public async Task A_user_asks_again_only_when_the_mesh_has_taken_in_what_was_said()
    {
        await using FakeMesh mesh = await StartAsync(Truth);

        await RunAsync(mesh, Options);

        Assert.Equal((0, 0, 0), (mesh.TooEarly, mesh.LateProbes, mesh.Items));
        JsonElement[] events = [.. mesh.Events];
        Assert.True(events.Length > 500, $"{events.Length} events");
        Assert.All(events, row => Assert.Equal(mesh.UserOfRequest[row.GetProperty("requestId").GetString()!], row.GetProperty("userId").GetString()));
        Assert.All(events, row => Assert.True(MeshId.IsUlid(row.GetProperty("eventId").GetString()) && row.GetProperty("surface").GetString() == "home"));
        int follows = events.Where(row => row.GetProperty("action").GetString() == "follow_author").Count();
        Assert.True(follows > 0);
        int initial = Options.Seeds.Sum(seed => 2 * WorldOf(seed).FollowCount!.Value);
        Assert.InRange(mesh.Profile.Count(change => change.List == "follows"), initial + 1, initial + follows);
    }

    [Fact]
    public async Task Items_of_no_world_are_counted_and_nobody_looks_at_them()
    {
        await using FakeMesh mesh = await StartAsync(Truth, stranger: "elsewhere");

        IReadOnlyList<SeedResult> seeds = await RunAsync(mesh, Options);

        Assert.Equal(2 * 12 * 4, seeds[0].Foreign);
        Assert.Contains("are not of these worlds", new LoopReport(Options, seeds).ToTable(), StringComparison.Ordinal);
        Assert.DoesNotContain(mesh.Events, row => row.GetProperty("itemId").GetString() == "elsewhere");
    }

    [Fact]
    public async Task Pages_that_another_arm_scored_show()
    {
        await using FakeMesh mesh = await StartAsync(Truth, scoredBy: (user, arm) => user.Contains("user-0003", StringComparison.Ordinal) ? "fallback-order" : arm);

        IReadOnlyList<SeedResult> seeds = await RunAsync(mesh, Options);

        Assert.Equal((44, 4), (seeds[0].PagesByServer["good"]["good mini-1"], seeds[0].PagesByServer["good"]["fallback-order heuristic-1"]));
        Assert.Contains("good was scored by: good mini-1, 88 pages; fallback-order heuristic-1, 8 pages", new LoopReport(Options, seeds).ToTable(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mesh_that_never_takes_events_in_is_an_error_that_says_so()
    {
        await using FakeMesh mesh = await StartAsync(Truth, pollsUntilIn: -1);

        FeedApiException exception = await Assert.ThrowsAsync<FeedApiException>(() => RunAsync(mesh, Options with { Patience = TimeSpan.FromMilliseconds(200) }));

        Assert.Contains("events; it holds 0", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("good,other", "The ranker has no arm other; it has good, bad.")]
    [InlineData("good,bad", "None of 300 ids was in arm bad; the mesh has users in good.")]
    public async Task Arms_that_the_mesh_does_not_serve_are_an_error_that_says_what_it_has(string arms, string message)
    {
        await using FakeMesh mesh = await StartAsync(Truth, armOf: _ => "good");

        DataException exception = await Assert.ThrowsAsync<DataException>(() => RunAsync(mesh, Options with { Arms = arms.Split(','), Users = 2 }));

        Assert.StartsWith(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_verb_writes_the_table_the_json_and_a_picture()
    {
        await using FakeMesh mesh = await StartAsync(Truth);
        string json = Path.Combine(_files.Folder, "loop.json"), svg = Path.Combine(_files.Folder, "loop.svg");
        string[] arguments = ["loop", "--url", mesh.Url.ToString(), "--arms", "good,bad", "--seeds", "101", "--users", "12", "--requests-per-user", "2", "--items", "120", "--authors", "10", "--run", "t"];

        Assert.Equal(0, await SimulatorCommand.RunAsync([.. arguments, "--json", json, "--plot", svg]));

        JsonElement result = JsonDocument.Parse(await File.ReadAllBytesAsync(json)).RootElement;
        JsonElement utility = result.GetProperty("sections")[0].GetProperty("measures").GetProperty("utilityPerRequest");
        Assert.True(utility.GetProperty("differences").GetProperty("good - bad").GetProperty("low").GetDouble() > 0);
        Assert.Equal(2, result.GetProperty("utilityByRequest").GetProperty("good").GetArrayLength());
        Assert.Equal(4, XDocument.Load(svg).Descendants().Count(element => element.Name.LocalName == "polyline"));
        Assert.Equal(1, await SimulatorCommand.RunAsync([.. arguments, "--json", _files.Folder]));
    }

    [Theory]
    [InlineData("--arms", "a,a")]
    [InlineData("--arms", ",")]
    [InlineData("--seeds", "3-1")]
    [InlineData("--run", "not an id")]
    [InlineData("--plot", "x.png")]
    [InlineData("--url", "nonsense")]
    public async Task Wrong_flags_exit_with_2(params string[] flags)
    {
        Assert.Equal(2, await SimulatorCommand.RunAsync(["loop", .. flags]));
    }

    private static async Task<FakeMesh> StartAsync(
        Func<string, string, string, double> rank, string? stranger = null, int pollsUntilIn = 2, Func<string, string>? armOf = null, Func<string, string, string>? scoredBy = null)
    {
        var mesh = new FakeMesh
        {
            ArmOf = armOf ?? (id => id[^1] % 3 == 0 ? "bad" : "good"), Rank = rank, Stranger = stranger, PollsUntilIn = pollsUntilIn, ScoredBy = scoredBy ?? ((_, arm) => arm),
        };
        await mesh.StartAsync();
        return mesh;
    }

    private static async Task<IReadOnlyList<SeedResult>> RunAsync(FakeMesh mesh, LoopOptions options)
    {
        using var api = new FeedApi(mesh.Url, new RetryOptions { Patience = TimeSpan.FromSeconds(20) });
        return await new ClosedLoop(api, options, new PlainProgress(_ => { }), TimeProvider.System).RunAsync(CancellationToken.None);
    }

    // "s101-t-user-0003-1" wants "s101-t-item-000007" as much as the world says; the bad arm turns it round.
    private static double Truth(string user, string arm, string item)
    {
        string[] who = user.Split('-');
        double affinity = WorldOf(int.Parse(who[0][1..], null)).Affinity(int.Parse(who[3], null) - 1, int.Parse(item.Split('-')[3], null) - 1);
        return arm == "good" ? affinity : -affinity;
    }

    private static readonly Dictionary<int, SyntheticWorld> Worlds = Options.Seeds.ToDictionary(seed => seed, seed => SyntheticWorld.Create(
        new SyntheticOptions { Seed = seed, Users = 12, Authors = 10, Items = 120, Events = 0, End = DateTimeOffset.UnixEpoch.AddYears(50) }));

    private static SyntheticWorld WorldOf(int seed) => Worlds[seed];
}
