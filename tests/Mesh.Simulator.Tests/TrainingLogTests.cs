using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Simulator.Logs;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;
using Item = Mesh.Contracts.Item;

namespace Mesh.Simulator.Tests;

public sealed class TrainingLogTests : IDisposable
{
    private const double HalfLifeMs = 72 * 3_600_000.0;
    private static readonly SyntheticOptions Size = new()
    {
        Users = 40, Authors = 20, Items = 600, Events = 0, IdPrefix = "s7-", Seed = 7, End = new DateTimeOffset(2026, 11, 1, 12, 0, 0, TimeSpan.Zero),
    };

    private static readonly TrainingLogOptions Options = new() { Requests = 400 };
    private static readonly SyntheticWorld World = SyntheticWorld.Create(Size);
    private static readonly TrainingRow[] Rows = [.. TrainingLog.Of(World, Options)];
    private static readonly Dictionary<string, ItemBody> Items = World.Items().ToDictionary(item => item.ItemId);
    private static readonly int Impression = ActionTaxonomy.Default.ImpressionIndex;

    private static TrainingRow FullRow => new()
    {
        RequestId = "r\"ü", TimeMs = -1, ModelVersion = "m", IndexVersion = "i", Arms = { ["a"] = "b" },
        Sequence = new Sequence { SurfaceNames = { "x" }, TimesMs = { long.MinValue, long.MaxValue }, Values = { 1e-9f, -0.5f } },
        Candidates = { new TrainingCandidate { Score = -1.25f, Counters = new Counters() } },
    };

    private readonly DataFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Files_hold_the_rows_and_the_same_options_give_the_same_bytes()
    {
        string first = Path.Combine(_files.Folder, "a"), second = Path.Combine(_files.Folder, "b");
        foreach (string folder in (string[])[first, second])
            TrainingFiles.Write(folder, [SyntheticWorld.Create(Size)], Options, new Import.PlainProgress(_ => { }), CancellationToken.None);

        foreach (string name in (string[])[TrainingFiles.Items, TrainingFiles.Rows])
            Assert.Equal(File.ReadAllBytes(Path.Combine(first, name)), File.ReadAllBytes(Path.Combine(second, name)));
        Assert.Equal(Rows, File.ReadLines(Path.Combine(first, TrainingFiles.Rows)).Select(TrainingRow.Parser.ParseJson));
        Item[] items = [.. File.ReadLines(Path.Combine(first, TrainingFiles.Items)).Select(Item.Parser.ParseJson)];
        Assert.Equal(Items.Values.Select(item => (item.ItemId, item.AuthorId, item.Text, item.CreatedAt!.Value, item.DurationMs ?? 0)),
            items.Select(item => (item.ItemId, item.AuthorId, item.Text, item.CreatedAtMs, item.DurationMs)));
    }

    [Fact]
    public void There_are_as_many_requests_as_asked_in_both_parts_each_in_order_of_time()
    {
        TrainingRow[] live = [.. Rows.Where(row => row.UserId.EndsWith("-live", StringComparison.Ordinal))];

        Assert.Equal((400, 160), (Rows.Length, live.Length));
        Assert.Equal(400, Rows.Select(row => row.RequestId).Distinct().Count());
        Assert.Equal(Rows.OrderBy(row => row.TimeMs).Select(row => row.RequestId), Rows.Select(row => row.RequestId));
        Assert.All(Rows, row => Assert.True(MeshId.IsUlid(row.RequestId) && MeshId.IsValid(row.UserId) && row.UserId.StartsWith("s7-", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_sequence_holds_what_earlier_pages_led_to_and_nothing_of_the_moment_or_later()
    {
        foreach (IGrouping<string, TrainingRow> user in Rows.GroupBy(row => row.UserId))
        {
            var done = new HashSet<(string, byte)>();
            foreach (TrainingRow row in user)
            {
                Sequence sequence = row.Sequence;
                Assert.True(sequence.TimesMs.Zip(sequence.TimesMs.Skip(1)).All(pair => pair.First <= pair.Second));
                Assert.All(sequence.TimesMs, time => Assert.True(time < row.TimeMs));
                Assert.All(sequence.ItemIds.Zip(sequence.Actions), pair => Assert.Contains(pair, done));
                Assert.Equal([sequence.ItemIds.Count, sequence.ItemIds.Count, sequence.ItemIds.Count], [sequence.TimesMs.Count, sequence.Values.Count, sequence.Surfaces.Count]);
                foreach (TrainingCandidate candidate in row.Candidates) done.UnionWith(candidate.Actions.Select(action => (candidate.ItemId, (byte)action)));
            }
        }

        Assert.True(Rows.Max(row => row.Sequence.ItemIds.Count) > 50);
    }

    [Fact]
    public void Counters_hold_every_earlier_impression_and_no_action_that_was_not_yet_done()
    {
        foreach (TrainingRow[] part in Rows.GroupBy(row => row.UserId.EndsWith("-live", StringComparison.Ordinal)).Select(part => part.ToArray()))
        {
            var shown = new Dictionary<string, double>(); // impressions, decayed to the first request
            var labels = new Dictionary<(string, int), int>();
            long startMs = part[0].TimeMs;
            foreach (TrainingRow row in part)
            {
                foreach (TrainingCandidate candidate in row.Candidates)
                {
                    Assert.True(candidate.Counters is null || candidate.Counters.AsOfMs <= row.TimeMs);
                    Assert.Equal(shown.GetValueOrDefault(candidate.ItemId) * Worth(startMs, row.TimeMs), Now(candidate, Impression, row.TimeMs), 1e-3);
                    for (int action = 0; action < ActionTaxonomy.Default.Count; action++)
                        Assert.True(Now(candidate, action, row.TimeMs) <= labels.GetValueOrDefault((candidate.ItemId, action)) + 1e-3);
                }

                foreach (TrainingCandidate candidate in row.Candidates)
                {
                    shown[candidate.ItemId] = shown.GetValueOrDefault(candidate.ItemId) + 1 / Worth(startMs, row.TimeMs);
                    foreach (uint action in candidate.Actions) labels[(candidate.ItemId, (int)action)] = labels.GetValueOrDefault((candidate.ItemId, (int)action)) + 1;
                }
            }
        }
    }

    [Fact]
    public void Counters_hold_the_actions_that_sequences_say_were_done()
    {
        TrainingRow last = Rows[^1];
        TrainingRow[] newest = [.. Rows.Where(row => row.UserId.EndsWith("-live", StringComparison.Ordinal)).GroupBy(row => row.UserId).Select(user => user.Last())];
        foreach (TrainingCandidate candidate in last.Candidates)
        {
            for (int action = 0; action < ActionTaxonomy.Default.Count; action++)
            {
                double done = newest.Sum(row => row.Sequence.ItemIds.Zip(row.Sequence.Actions, row.Sequence.TimesMs)
                    .Where(pair => pair.First == candidate.ItemId && pair.Second == action).Sum(pair => Worth(pair.Third, last.TimeMs)));

                Assert.True(Now(candidate, action, last.TimeMs) >= done - 1e-3);
            }
        }

        Assert.Contains(last.Candidates, candidate => Now(candidate, LoggedMesh.Click, last.TimeMs) > 1);
    }

    [Fact]
    public void A_page_holds_only_items_that_exist_each_once_for_a_user_and_says_who_is_followed()
    {
        Dictionary<string, HashSet<string>> follows = World.Follows().GroupBy(follow => follow.UserId)
            .ToDictionary(group => group.Key, group => group.Select(follow => follow.AuthorId).ToHashSet());

        Assert.All(Rows, row => Assert.All(row.Candidates, candidate => Assert.True(candidate.Served && Items[candidate.ItemId].CreatedAt < row.TimeMs)));
        Assert.All(Rows.GroupBy(row => row.UserId), user =>
        {
            string[] served = [.. user.SelectMany(row => row.Candidates).Select(candidate => candidate.ItemId)];
            Assert.Equal(served.Length, served.Distinct().Count());
            HashSet<string> theirs = follows[user.Key.Replace("-live", "", StringComparison.Ordinal)];
            Assert.All(user.First().Candidates, candidate => Assert.Equal(theirs.Contains(Items[candidate.ItemId].AuthorId), candidate.InNetwork));
        });
    }

    [Fact]
    public void Pages_hold_good_and_bad_candidates_and_users_do_what_the_hidden_truth_says()
    {
        int report = ActionTaxonomy.Default.IndexOf("report");
        (double Affinity, bool Clicked)[] looks =
        [
            .. Rows.SelectMany(row => row.Candidates.Select(candidate => (World.Affinity(IndexOf(row.UserId), IndexOf(candidate.ItemId)), candidate.Actions.Contains((uint)LoggedMesh.Click)))),
        ];

        Assert.InRange(looks.Count(look => look.Affinity > 1.5) / (double)looks.Length, 0.15, 0.7);
        Assert.InRange(looks.Count(look => look.Affinity < 0) / (double)looks.Length, 0.15, 0.7);
        Assert.True(looks.Where(look => look.Clicked).Average(look => look.Affinity) > looks.Where(look => !look.Clicked).Average(look => look.Affinity) + 0.7);
        Assert.All(Rows.SelectMany(row => row.Candidates), candidate =>
        {
            Assert.All(candidate.Actions, action => Assert.InRange((int)action, 0, report));
            Assert.Equal(candidate.DwellSeconds > 0, candidate.Actions.Contains((uint)ActionTaxonomy.Default.IndexOf("dwell")));
        });
    }

    [Fact]
    public void A_sequence_is_cut_to_its_newest_events()
    {
        TrainingRow[] cut = [.. TrainingLog.Of(World, Options with { SequenceMax = 5 })];

        Assert.Equal(Rows.Select(row => row.Sequence.ItemIds.TakeLast(5)), cut.Select(row => row.Sequence.ItemIds.AsEnumerable()));
    }

    [Fact]
    public void Rows_are_written_as_protobufs_own_formatter_writes_them()
    {
        foreach (TrainingRow row in (TrainingRow[])[.. Rows, new TrainingRow(), FullRow])
        {
            using var text = new MemoryStream();
            using (var json = new Utf8JsonWriter(text)) RowJson.Write(json, row);

            Assert.True(JsonNode.DeepEquals(JsonNode.Parse(JsonFormatter.Default.Format(row)), JsonNode.Parse(text.ToArray())));
        }
    }

    [Theory]
    [InlineData("--seeds", "8-1", "--out", "x")]
    [InlineData("--seeds", "1,1", "--out", "x")]
    [InlineData("--seeds", "one", "--out", "x")]
    [InlineData("--live-percent", "101", "--out", "x")]
    [InlineData("--requests", "10")]
    public async Task Wrong_flags_exit_with_2(params string[] flags)
    {
        Assert.Equal(2, await SimulatorCommand.RunAsync(["world", .. flags]));
    }

    [Fact]
    public async Task Worlds_of_several_seeds_share_a_folder_without_sharing_ids()
    {
        string[] arguments = ["world", "--seeds", "1-2", "--users", "10", "--authors", "5", "--items", "50", "--requests", "20", "--out", _files.Folder];

        Assert.Equal(0, await SimulatorCommand.RunAsync(arguments));

        Assert.Equal(100, File.ReadLines(Path.Combine(_files.Folder, TrainingFiles.Items)).Select(line => Item.Parser.ParseJson(line).ItemId).Distinct().Count());
        Assert.Equal(40, File.ReadLines(Path.Combine(_files.Folder, TrainingFiles.Rows)).Select(line => TrainingRow.Parser.ParseJson(line).RequestId).Distinct().Count());
    }

    [Fact]
    public async Task A_folder_that_cannot_be_written_exits_with_1()
    {
        _files.Write("taken", "a file");

        Assert.Equal(1, await SimulatorCommand.RunAsync(["world", "--requests", "1", "--items", "10", "--out", Path.Combine(_files.Folder, "taken")]));
    }

    private static double Worth(long fromMs, long toMs) => DecayedCounter.Factor(fromMs, toMs, HalfLifeMs);

    private static double Now(TrainingCandidate candidate, int index, long nowMs) =>
        candidate.Counters is { } counters ? counters.Counts[index] * Worth(counters.AsOfMs, nowMs) : 0;

    private static int IndexOf(string id) => int.Parse(id.Split('-')[2], null) - 1;
}
