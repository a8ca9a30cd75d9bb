using Mesh.Contracts;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Tests;

public sealed class BeamSearchTests
{
    private const int WideOpen = 1_000_000;

    [Theory, InlineData(1, 8), InlineData(2, 8), InlineData(3, 2), InlineData(4, 1)]
    public void A_beam_as_wide_as_the_tree_finds_what_an_exhaustive_search_finds_with_the_same_probabilities(int seed, int depthMax)
    {
        (LiveIndex index, SourceQuery query) = RandomWorld(seed, items: 2_000, depthMax);
        ICodeDecoding decoding = Decoder.Begin(query)!;

        List<Hypothesis> found = Search(query, width: WideOpen, rowsWanted: WideOpen);
        Dictionary<string, (double LogProbability, List<string> Items)> expected = Exhaustive(index, decoding);

        Assert.Equal(expected.Keys.Order(), found.Select(Path).Order());
        Assert.Equal(found.OrderByDescending(prefix => prefix.LogProbability).Select(prefix => prefix.LogProbability), found.Select(prefix => prefix.LogProbability));
        foreach (Hypothesis prefix in found)
        {
            (double logProbability, List<string> items) = expected[Path(prefix)];
            Assert.Equal(logProbability, prefix.LogProbability, 1e-6);
            Assert.Equal(items.Order(), Items(prefix).Order());
        }
    }

    [Fact]
    public void A_narrow_beam_finds_part_of_that_with_the_same_probabilities_and_loses_little()
    {
        double best = 0, kept = 0;
        for (int seed = 1; seed <= 20; seed++)
        {
            (LiveIndex index, SourceQuery query) = RandomWorld(seed, items: 3_000, depthMax: 8);
            Dictionary<string, (double LogProbability, List<string> Items)> all = Exhaustive(index, Decoder.Begin(query)!);

            List<Hypothesis> found = Search(query, width: 8, rowsWanted: 1);

            Assert.Equal(8, found.Count);
            Assert.Equal(8, found.Select(Path).Distinct().Count());
            Assert.All(found, prefix => Assert.Equal(all[Path(prefix)].LogProbability, prefix.LogProbability, 1e-6));
            best += all.Values.Select(prefix => Math.Exp(prefix.LogProbability)).OrderDescending().Take(8).Sum();
            kept += found.Sum(prefix => Math.Exp(prefix.LogProbability));
        }

        Assert.InRange(kept / best, 0.95, 1 + 1e-9);
    }

    [Fact]
    public void What_the_beam_left_out_is_followed_where_it_holds_too_few_rows()
    {
        (_, SourceQuery query) = RandomWorld(seed: 5, items: 1_000, depthMax: 8);

        List<Hypothesis> found = Search(query, width: 2, rowsWanted: WideOpen);

        Assert.Equal(Search(query, WideOpen, WideOpen).Select(Path).Order(), found.Select(Path).Order());
        Assert.InRange(Search(query, width: 2, rowsWanted: 200).Sum(prefix => prefix.Rows.Count), 200, 999);
    }

    [Fact]
    public void Prefixes_in_which_the_filter_admits_nothing_take_no_place_while_others_hold_items()
    {
        LiveIndex index = Make.Index(
        [
            Make.Row("seed", codes: [1, 1, 1]),
            .. Enumerable.Range(0, 400).Select(i => Make.Row($"common-{i}", codes: [(uint)i % 4, (uint)i % 40, (uint)i], likes: 90)),
            .. Enumerable.Range(0, 5).Select(i => Make.Row($"rare-{i}", codes: [(uint)(3 + i), (uint)(50 + i), 7], tags: ["rare"])),
        ]);
        SourceQuery query = Query(index, Make.Sequence(("seed", "like", Make.Now)), "tag:rare");

        List<Hypothesis> found = Search(query, width: 2, rowsWanted: 5);

        Assert.All(found, prefix => Assert.True(prefix.Rows.Count > 0));
        Assert.Equal(Enumerable.Range(0, 5).Select(i => $"rare-{i}"), found.SelectMany(Items).Order());
        Assert.Empty(Search(Query(index, Make.Sequence(("seed", "like", Make.Now)), "tag:nowhere"), width: 2, rowsWanted: 5));
    }

    [Fact]
    public void Deleted_and_hidden_items_leave_the_beam_to_others()
    {
        LiveIndex index = Make.Index(
        [
            Make.Row("seed", codes: [9, 9, 9]),
            .. Enumerable.Range(0, 200).Select(i => Make.Row($"best-{i}", codes: [1, 1, (uint)i])),
            .. Enumerable.Range(0, 100).Select(i => Make.Row($"other-{i:00}", codes: [2, (uint)i, 1])),
        ]);
        Sequence likes = Make.Sequence([.. Enumerable.Range(0, 50).Select(i => ($"best-{i}", "like", Make.Now)), ("seed", "click", Make.Now)]);
        SourceQuery query = Query(index, likes);
        Assert.StartsWith("1 1 ", Path(Search(query, width: 1, rowsWanted: 1)[0]), StringComparison.Ordinal);

        ulong sequence = index.Sequence;
        for (int i = 0; i < 200; i++)
        {
            index.Apply(i % 2 == 0 ? Make.Delete(++sequence, $"best-{i}") : Make.Restrict(++sequence, $"best-{i}", new Eligibility { Hidden = true }), out _);
        }

        List<Hypothesis> found = Search(query, width: 1, rowsWanted: 101);
        Assert.Equal(101, found.Sum(prefix => prefix.Rows.Count));
        Assert.DoesNotContain(found, prefix => Path(prefix).StartsWith("1 ", StringComparison.Ordinal));
        Assert.Equal(201, index.Prefixes.Root.Live);
    }

    [Fact]
    public void A_new_item_is_found_under_its_prefix_right_after_its_delta()
    {
        var random = new Random(6);
        LiveIndex index = Make.Index([.. Enumerable.Range(0, 3_000).Select(i => Make.Row(
            $"item-{i}", codes: [(uint)i % 16, (uint)(i / 16) % 16, (uint)i / 256], likes: random.Next(3)))]);
        uint[] liked = index.Find("item-33")!.Facts.Codes;
        SourceQuery query = Query(index, Make.Sequence(("item-33", "like", Make.Now), ("item-7", "click", Make.Now)));
        SemanticIdSource source = Make.SemanticId(4_096);
        string[] fresh = ["same", "near", "topic"];

        ulong sequence = index.Sequence;
        index.Apply(Make.Upsert(++sequence, Make.Row("same", codes: liked)), out _);
        index.Apply(Make.Upsert(++sequence, Make.Row("near", codes: [liked[0], liked[1], 9_999])), out _);
        index.Apply(Make.Upsert(++sequence, Make.Row("topic", codes: [liked[0], 9_999, 1])), out _);
        string[] Found(int limit) => [.. source.Find(query, limit, default).Select(hit => hit.State.Facts.ItemId).Where(fresh.Contains)];

        Assert.Equal(["same", "near"], Found(300));
        Assert.Equal(fresh, Found(3_100));
    }

    [Fact]
    public void Engagement_makes_a_prefix_likelier_from_the_delta_that_brings_it()
    {
        LiveIndex index = Make.Index(Make.Row("seed", codes: [1, 1, 1]), Make.Row("a", codes: [1, 2, 1]), Make.Row("b", codes: [1, 3, 1]));
        SourceQuery query = Query(index, Make.Sequence(("seed", "like", Make.Now)));
        double Likelihood(string path) => Search(query, WideOpen, WideOpen).Single(prefix => Path(prefix) == path).LogProbability;
        Assert.Equal(Likelihood("1 2 1"), Likelihood("1 3 1"), 1e-9);

        index.Apply(Make.Engage(4, "b", likes: 20), out _);

        Assert.True(Likelihood("1 3 1") > Likelihood("1 2 1") + 1);
    }

    [Fact]
    public void Codes_of_any_number_are_found_and_items_without_codes_are_not()
    {
        var random = new Random(8);
        uint[] Codes(int length) => [.. Enumerable.Range(0, length).Select(_ => (uint)random.NextInt64(1L + uint.MaxValue))];
        LiveIndex index = Make.Index(
        [
            Make.Row("seed", codes: [1]), Make.Row("none"), Make.Row("one", codes: [1]), Make.Row("two", codes: [1, uint.MaxValue]),
            Make.Row("three", codes: [1, uint.MaxValue, 0]), Make.Row("deep", codes: Codes(10_000)),
            .. Enumerable.Range(0, 200).Select(i => Make.Row($"twin-{i}", codes: [.. Enumerable.Repeat(5u, 30), (uint)i])),
            .. Enumerable.Range(0, 2_000).Select(i => Make.Row($"random-{i}", codes: Codes(1 + random.Next(12)))),
        ]);

        List<Hypothesis> found = Search(Query(index, Make.Sequence(("seed", "like", Make.Now))), WideOpen, WideOpen);

        Assert.Equal(index.Items - 1, found.Sum(prefix => prefix.Rows.Count));
        Assert.Equal(["one", "seed"], Items(found[0]).Order());
        Assert.Equal(200, found.Single(prefix => Items(prefix).Contains("twin-0")).Rows.Count);
        Assert.Equal(8, found.Max(prefix => prefix.Depth));
    }

    [Fact]
    public void A_search_ends_when_its_looks_are_spent_with_what_it_has()
    {
        (LiveIndex index, SourceQuery query) = RandomWorld(seed: 9, items: 5_000, depthMax: 8);
        var search = new BeamSearch(index.Prefixes, Decoder.Begin(query)!, query.Filter, new BeamShape(64, 500, 4_096), Make.Now);

        List<Hypothesis> found = search.Run(WideOpen, CancellationToken.None);

        Assert.NotEmpty(found);
        Assert.InRange(search.Looks, 400, 500);
    }

    [Fact]
    public void A_search_stops_at_its_deadline()
    {
        (_, SourceQuery query) = RandomWorld(seed: 10, items: 500, depthMax: 8);

        Assert.ThrowsAny<OperationCanceledException>(() => Make.SemanticId(100).Find(query, 10, new CancellationToken(canceled: true)));
    }

    [Fact]
    public void Shares_follow_the_probabilities_and_fill_the_limit_while_there_are_rows()
    {
        LiveIndex index = Make.Index([.. Enumerable.Range(0, 100).Select(i => Make.Row($"item-{i:00}", codes: [i < 60 ? 1u : 2u, 1, 1], likes: i))]);
        SourceQuery query = Query(index, Make.Sequence([.. Enumerable.Range(0, 9).Select(i => ($"item-{i:00}", "like", Make.Now)), ("item-99", "like", Make.Now)]));
        List<Hypothesis> two = Search(query, width: 8, rowsWanted: 100);
        double first = Math.Exp(two[0].LogProbability);
        Assert.InRange(first, 0.6, 0.9);
        (int Of1, int Of2) Shares(int limit)
        {
            List<RowHit> hits = Make.SemanticId(100).Find(query, limit, CancellationToken.None);
            Assert.Equal(2, hits.Select(hit => (hit.Part, hit.State.Facts.Codes[0])).Distinct().Count());
            foreach (IGrouping<int, RowHit> part in hits.GroupBy(hit => hit.Part)) Assert.Equal(part.OrderByDescending(hit => hit.State.Engagement), part);
            return (hits.Count(hit => hit.State.Facts.Codes[0] == 1), hits.Count(hit => hit.State.Facts.Codes[0] == 2));
        }

        Assert.InRange(Shares(20).Of1, (20 * first) - 1, (20 * first) + 1);
        Assert.Equal(20, Shares(20).Of1 + Shares(20).Of2);
        Assert.Equal((60, 38), Shares(98));
        Assert.Equal((60, 40), Shares(500));
    }

    [Theory, InlineData(""), InlineData("tag:even"), InlineData("tag:none")]
    public async Task A_search_beside_a_writer_finds_only_rows_that_lie_where_it_found_them(string filter)
    {
        LiveIndex index = Make.Index();
        var random = new Random(11);
        ulong sequence = 0;
        ItemRow Row(int item) => Make.Row(
            $"item-{item}", codes: [.. Enumerable.Range(0, 1 + random.Next(3)).Select(_ => (uint)random.Next(4))], likes: random.Next(9), tags: random.Next(4) == 0 ? ["even"] : []);
        for (int i = 0; i < 500; i++) index.Apply(Make.Upsert(++sequence, Row(i)), out _);
        using var stop = new CancellationTokenSource();
        Task<int>[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() => SearchUntil(index, filter, stop.Token)))];

        while (sequence < 60_000)
        {
            int item = random.Next(500);
            index.Apply(random.Next(4) switch { 0 => Make.Delete(++sequence, $"item-{item}"), 1 => Make.Engage(++sequence, $"item-{item}", random.Next(50)), _ => Make.Upsert(++sequence, Row(item)) }, out _);
        }

        await stop.CancelAsync();
        Assert.All(await Task.WhenAll(readers), searches => Assert.True(searches > 0));
        Assert.Equal(index.Items, Make.Under(index.Prefixes).Count);
        Assert.Equal(index.Items, index.Prefixes.Root.Live);
    }

    private static HistoryDecoder Decoder => new(Make.Options.TrendingPrior);

    private static int SearchUntil(LiveIndex index, string filter, CancellationToken stop)
    {
        int searches = 0;
        do
        {
            var liked = Enumerable.Range(0, 30).Select(i => ($"item-{i}", "like", Make.Now)).ToArray();
            SourceQuery query = Query(index, Make.Sequence(liked), filter);
            if (Decoder.Begin(query) is not { } decoding) continue; // all of them deleted at the moment
            foreach (Hypothesis prefix in BeamPlan.Run(query, decoding, new BeamShape(16, WideOpen, WideOpen), rowsWanted: 100, CancellationToken.None))
            {
                uint[] codes = Codes(prefix);
                foreach (Seen seen in prefix.Rows)
                {
                    Assert.Equal(codes, seen.State.Facts.Codes);
                    Assert.True(query.Filter.Admits(seen.State));
                }
            }

            searches++;
        }
        while (!stop.IsCancellationRequested);
        return searches;
    }

    /// <summary>Items of up to four codes, popular ones among them, and a user who liked some of a few topics.</summary>
    private static (LiveIndex Index, SourceQuery Query) RandomWorld(int seed, int items, int depthMax)
    {
        var random = new Random(seed);
        LiveIndex index = Make.Index(
            new RetrievalOptions { BeamDepth = depthMax },
            [.. Enumerable.Range(0, items).Select(i => Make.Row(
                $"item-{i}", codes: [.. Enumerable.Range(0, 1 + random.Next(4)).Select(level => (uint)(random.NextDouble() * random.Next(1, 6 + (4 * level))))],
                likes: random.Next(5) == 0 ? random.Next(100) : 0, reports: random.Next(20) == 0 ? 5 : 0))]);
        string[] liked = [.. Enumerable.Range(0, 40).Select(_ => $"item-{random.Next(items)}").Where(id => index.Find(id)!.Facts.Codes[0] < 3)];
        Sequence sequence = Make.Sequence([.. liked.Select((id, i) => (id, i % 9 == 8 ? "not_interested" : "like", Make.Now - ((liked.Length - i) * Make.Hour)))]);
        return (index, Query(index, sequence));
    }

    private static SourceQuery Query(LiveIndex index, Sequence sequence, string filter = "") => new(
        index, UserInterest.From(index, sequence, InterestShape.From(Make.Options)), QueryVectors.None, [], Catalogue.Filter(filter), Make.Now, Make.Now);

    private static List<Hypothesis> Search(SourceQuery query, int width, int rowsWanted) =>
        new BeamSearch(query.Index.Prefixes, Decoder.Begin(query)!, query.Filter, new BeamShape(width, WideOpen, WideOpen), Make.Now).Run(rowsWanted, CancellationToken.None);

    /// <summary>The reference: every prefix of the plain list of rows, depth first, by its definition.</summary>
    private static Dictionary<string, (double LogProbability, List<string> Items)> Exhaustive(LiveIndex index, ICodeDecoding decoding)
    {
        var found = new Dictionary<string, (double, List<string>)>();
        Visit([.. index.Vectors.Live().Select(live => live.State).Where(state => state.Facts.Codes.Length > 0)], [], 0);
        return found;

        void Visit(List<RowState> rows, uint[] prefix, double logProbability)
        {
            var next = prefix.Length == index.Prefixes.DepthMax ? [] : rows.GroupBy(row => PrefixTree.NextCode(row.Facts.Codes, prefix.Length)).ToArray();
            if (next.Length == 0 || (next.Length == 1 && next[0].Key == PrefixNode.End))
            {
                found.Add(string.Join(' ', prefix), (logProbability, Ids(rows)));
                return;
            }

            CodeChoice[] choices = [.. next.Select(group => new CodeChoice(group.Key, group.Count(), Math.Max(0, group.Sum(row => row.EngagementAt(Make.Now, index.HalfLifeMs)))))];
            var scores = new double[choices.Length];
            decoding.Score(prefix, choices, scores);
            for (int i = 0; i < choices.Length; i++)
            {
                if (double.IsNegativeInfinity(scores[i])) continue;
                if (choices[i].Code == PrefixNode.End) found.Add(string.Join(' ', prefix), (logProbability + scores[i], Ids([.. next[i]])));
                else Visit([.. next[i]], [.. prefix, (uint)choices[i].Code], logProbability + scores[i]);
            }
        }

        static List<string> Ids(List<RowState> rows) => [.. rows.Select(row => row.Facts.ItemId)];
    }

    private static uint[] Codes(Hypothesis prefix) => prefix.CodesIn(new uint[prefix.Depth]).ToArray();

    private static string Path(Hypothesis prefix) => string.Join(' ', Codes(prefix));

    private static IEnumerable<string> Items(Hypothesis prefix) => prefix.Rows.Select(seen => seen.State.Facts.ItemId);
}
