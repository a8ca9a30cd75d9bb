using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Retrieval.Tests;

/// <summary>The beam that is constrained to prefixes of eligible items, and when it is.</summary>
public sealed class EligibleBeamTests
{
    private const int WideOpen = 1_000_000;

    public static TheoryData<string> Shapes => IndexShapes.All;

    [Theory, InlineData(IndexShapes.Flat), InlineData(IndexShapes.Exact)]
    public void A_filter_that_20_of_100_000_items_pass_gives_them_all(string shape)
    {
        var random = new Random(1);
        LiveIndex index = Make.Index(
            IndexShapes.Options(shape),
            [.. Enumerable.Range(0, 100_000).Select(i => Make.Row($"item-{i}", codes: Codes(random, 256), tags: i % 5_000 == 7 ? ["rare"] : []))]);
        SourceQuery query = Query(index, "tag:rare", [.. Enumerable.Range(0, 50).Select(i => $"item-{i}")]);
        BeamSearch walk = Walk(query, BeamShape.From(Make.Options));
        Assert.InRange(Rows(walk.Run(20, CancellationToken.None)).Count, 0, 19);
        Assert.True(walk.HasCutOff);

        List<RowHit> found = Make.SemanticId(4_096).Find(query, 20, CancellationToken.None);

        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"item-{(5_000 * i) + 7}").Order(), found.Select(hit => hit.State.Facts.ItemId).Order());
        var decoding = new Changing(Decoder.Begin(query)!, static () => { });
        BeamPlan.Run(query, decoding, BeamShape.From(Make.Options), 20, CancellationToken.None);
        int prefixesMost = 1 + (3 * 20); // above 20 items; a walk meets all 256 codes
        Assert.Equal(shape != IndexShapes.Flat, decoding.Prefixes <= prefixesMost);
    }

    [Theory, InlineData(1, 8), InlineData(2, 3), InlineData(3, 2), InlineData(4, 1)]
    public void Constrained_it_finds_what_a_walk_of_unlimited_looks_finds_with_the_same_probabilities(int seed, int depthMax)
    {
        LiveIndex index = RandomIndex(seed, items: 3_000, depthMax);
        foreach (string filter in (string[])["tag:t1", "tag:t1 AND tag:t2", "NOT tag:t3", "tag:t0 OR (tag:t1 AND NOT tag:t2)", "tag:nowhere", ""])
        {
            SourceQuery query = Query(index, filter, [.. Enumerable.Range(0, 40).Select(i => $"item-{i}")]);
            List<Hypothesis> walked = Walk(query, Unlimited(WideOpen)).Run(WideOpen, CancellationToken.None);
            foreach ((int width, int wanted) in (ReadOnlySpan<(int, int)>)[(WideOpen, WideOpen), (2, WideOpen), (WideOpen, 1)])
            {
                List<Hypothesis> found = Constrained(query, Unlimited(width)).Run(wanted, CancellationToken.None);

                Assert.Equal(walked.Select(Path).Order(), found.Select(Path).Order());
                foreach ((Hypothesis expected, Hypothesis actual) in walked.OrderBy(Path).Zip(found.OrderBy(Path)))
                {
                    Assert.Equal(expected.LogProbability, actual.LogProbability, 1e-9);
                    Assert.Equal(expected.Rows.Select(seen => seen.State.Facts.ItemId).Order(), actual.Rows.Select(seen => seen.State.Facts.ItemId).Order());
                }
            }
        }
    }

    [Theory, InlineData(1), InlineData(60), InlineData(299), InlineData(2_000)]
    public void As_many_as_are_wanted_are_found_where_so_many_are_eligible_and_the_beam_is_narrow(int wanted)
    {
        LiveIndex index = RandomIndex(seed: 5, items: 4_000, depthMax: 8);
        SourceQuery query = Query(index, "tag:t1", "item-1", "item-2");
        int eligible = index.Vectors.Live().Count(live => live.State.Facts.Codes.Length > 0 && query.Filter.Admits(live.State));

        List<RowHit> found = Make.SemanticId(4_096).Find(query, wanted, CancellationToken.None);

        Assert.InRange(eligible, 300, 1_999);
        Assert.Equal(Math.Min(wanted, eligible), found.Count);
        Assert.All(found, hit => Assert.True(query.Filter.Admits(hit.State)));
        Assert.Equal(found.Count, found.Select(hit => hit.Row).Distinct().Count());
    }

    [Theory, MemberData(nameof(Shapes))]
    public void What_an_index_names_as_admitted_is_what_its_rows_say(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape));
        var random = new Random(6);
        for (ulong sequence = 1; sequence <= 6_000; sequence++)
        {
            string item = $"item-{random.Next(1_000)}";
            index.Apply(
                random.Next(8) switch
                {
                    0 => Make.Delete(sequence, item),
                    1 => Make.Restrict(sequence, item, new Eligibility { Hidden = random.Next(2) == 0, Languages = { random.Next(2) == 0 ? "de" : "en" } }),
                    _ => Make.Upsert(sequence, Make.Row(item, vector: Make.RandomVector(random), codes: Codes(random, 5), tags: Tags(random))),
                },
                out _);
        }

        Assert.True(index.Vectors.Tombstones > 500);
        foreach (string text in (string[])["", "tag:t1", "tag:t1 AND NOT tag:t2", "tag:nowhere", "item:item-5 OR tag:t0"])
        {
            var filter = new RowFilter(new ItemHashSet([ItemHash.Compute("item-3"), ItemHash.Compute("item-5")]), new Audience("de-CH", ""), Catalogue.Filter(text).Plan);
            Seen[] expected = [.. index.Vectors.Live().Where(live => filter.Admits(live.State))];

            Assert.Equal(expected.OrderBy(Id), index.Vectors.Admitted(filter, WideOpen, CancellationToken.None)!.OrderBy(Id));
            if (expected.Length > 0) Assert.Null(index.Vectors.Admitted(filter, expected.Length - 1, CancellationToken.None));
        }

        static string Id(Seen seen) => seen.State.Facts.ItemId;
    }

    [Fact]
    public void Rows_that_change_during_the_search_are_given_only_where_they_pass_and_lie_there_still()
    {
        LiveIndex index = Make.Index(
            Make.Row("seed", codes: [9, 9, 9]), Make.Row("stays", codes: [1, 1, 1], tags: ["rare"]), Make.Row("deleted", codes: [1, 1, 2], tags: ["rare"]),
            Make.Row("retagged", codes: [1, 2, 1], tags: ["rare"]), Make.Row("moved", codes: [1, 2, 2], tags: ["rare"]), Make.Row("hidden", codes: [2, 1, 1], tags: ["rare"]),
            Make.Row("liked", codes: [2, 1, 2], tags: ["rare"]), Make.Row("uncoded", codes: [2, 2, 2], tags: ["rare"]));
        ulong sequence = index.Sequence;
        SourceQuery query = Query(index, "tag:rare", "seed");
        Hypothesis[] Found() => [.. Constrained(query, Unlimited(8), new Changing(Decoder.Begin(query)!, Change)).Run(10, CancellationToken.None)];
        void Change()
        {
            index.Apply(Make.Delete(++sequence, "deleted"), out _);
            index.Apply(Make.Upsert(++sequence, Make.Row("retagged", codes: [1, 2, 1])), out _);
            index.Apply(Make.Upsert(++sequence, Make.Row("moved", codes: [7, 7, 7], tags: ["rare"])), out _);
            index.Apply(Make.Restrict(++sequence, "hidden", new Eligibility { Hidden = true }), out _);
            index.Apply(Make.Engage(++sequence, "liked", likes: 3), out _);
            index.Apply(Make.Upsert(++sequence, Make.Row("uncoded", tags: ["rare"])), out _);
        }

        for (int more = 0; more < 3; more++) // the tree is one list, then nodes, then nodes of nodes
        {
            Hypothesis[] found = Found();

            Assert.All(found, prefix => Assert.All(prefix.Rows, seen => Assert.Equal(Path(prefix), string.Join(' ', seen.State.Facts.Codes))));
            Assert.All(Rows([.. found]), seen => Assert.True(query.Filter.Admits(seen.State)));
            string[] stay = ["liked", "stays"];
            if (more > 0) Assert.Equal(stay, Rows([.. found]).Select(seen => seen.State.Facts.ItemId).Order()); // one list is looked at before the change
            for (int i = 0; i < 100; i++) index.Apply(Make.Upsert(++sequence, Make.Row($"filler-{more}-{i}", codes: [(uint)i % 3, (uint)i % 2, (uint)i])), out _);
            string[] changed = ["deleted", "retagged", "moved", "hidden", "uncoded"];
            for (int i = 0; i < changed.Length; i++)
            {
                index.Apply(Make.Delete(++sequence, changed[i]), out _);
                index.Apply(Make.Upsert(++sequence, Make.Row(changed[i], codes: [(uint)i % 3, 1, (uint)i], tags: ["rare"])), out _);
            }
        }
    }

    [Fact]
    public void Items_without_codes_are_not_found_though_the_filter_admits_them()
    {
        LiveIndex index = Make.Index(Make.Row("seed", codes: [1, 1]), Make.Row("coded", codes: [1, 2], tags: ["rare"]), Make.Row("none", tags: ["rare"]));
        SourceQuery query = Query(index, "tag:rare", "seed");

        Assert.Equal(["coded"], Make.SemanticId(100).Find(query, 5, CancellationToken.None).Select(hit => hit.State.Facts.ItemId));
    }

    [Theory, MemberData(nameof(Shapes))]
    public void What_only_the_rows_can_tell_is_found_after_a_walk_that_was_cut_off(string shape)
    {
        LiveIndex index = Make.Index(
            IndexShapes.Options(shape),
            [.. Enumerable.Range(0, 1_000).Select(i => Make.Row(
                $"item-{i:000}", codes: [1, 1, 1], eligibility: new Eligibility { Regions = { i is >= 10 and < 15 ? "nz" : "ch" } }))]);
        var filter = new RowFilter(ItemHashSet.Empty, new Audience("", "nz"), FilterPlan.All);
        SourceQuery query = Query(index, "", "item-500") with { Filter = filter };

        List<RowHit> found = Make.SemanticId(scanMax: 50).Find(query, 10, CancellationToken.None);

        Assert.Equal(["item-010", "item-011", "item-012", "item-013", "item-014"], found.Select(hit => hit.State.Facts.ItemId).Order());
    }

    [Fact]
    public void Where_more_are_admitted_than_may_be_looked_at_the_walk_answers_within_its_looks()
    {
        LiveIndex index = RandomIndex(seed: 7, items: 3_000, depthMax: 8);
        SourceQuery query = Query(index, "tag:t1", "item-1", "item-2");
        BeamShape shape = Unlimited(8) with { LooksMax = 200 };
        BeamSearch walk = Walk(query, shape);
        List<Hypothesis> walked = walk.Run(WideOpen, CancellationToken.None);

        List<Hypothesis> found = BeamPlan.Run(query, Decoder.Begin(query)!, shape, WideOpen, CancellationToken.None);

        Assert.InRange(walk.Looks, 1, 200);
        Assert.True(walk.HasCutOff);
        Assert.Equal(walked.Select(Path), found.Select(Path));
    }

    [Theory, MemberData(nameof(Shapes))]
    public void A_narrow_search_stops_at_its_deadline(string shape)
    {
        LiveIndex index = Make.Index(IndexShapes.Options(shape), [.. Enumerable.Range(0, 500).Select(i => Make.Row($"item-{i}", codes: [1, (uint)i], tags: i == 9 ? ["rare"] : []))]);
        SourceQuery query = Query(index, "tag:rare", "item-1");
        using var deadline = new CancellationTokenSource();

        Assert.ThrowsAny<OperationCanceledException>(() => index.Vectors.Admitted(query.Filter, WideOpen, new CancellationToken(canceled: true)));
        BeamSearch late = Constrained(query, Unlimited(8), new Changing(Decoder.Begin(query)!, deadline.Cancel));
        Assert.ThrowsAny<OperationCanceledException>(() => late.Run(10, deadline.Token));
    }

    private static HistoryDecoder Decoder => new(Make.Options.TrendingPrior);

    private static BeamShape Unlimited(int width) => new(width, WideOpen, WideOpen);

    private static BeamSearch Walk(SourceQuery query, BeamShape shape) => new(query.Index.Prefixes, Decoder.Begin(query)!, query.Filter, shape, Make.Now);

    private static BeamSearch Constrained(SourceQuery query, BeamShape shape, ICodeDecoding? decoding = null) => new(
        query.Index.Prefixes, decoding ?? Decoder.Begin(query)!, query.Filter, shape, Make.Now, query.Index.Vectors.Admitted(query.Filter, WideOpen, CancellationToken.None));

    private static uint[] Codes(Random random, int codes) => [(uint)random.Next(codes), (uint)random.Next(codes), (uint)random.Next(codes)];

    private static string[] Tags(Random random) => [.. Enumerable.Range(0, 4).Where(_ => random.Next(6) == 0).Select(tag => $"t{tag}")];

    /// <summary>Items of no to four codes, a sixth of them with each of four tags.</summary>
    private static LiveIndex RandomIndex(int seed, int items, int depthMax)
    {
        var random = new Random(seed);
        return Make.Index(
            new RetrievalOptions { BeamDepth = depthMax },
            [.. Enumerable.Range(0, items).Select(i => Make.Row(
                $"item-{i}", codes: [.. Enumerable.Range(0, i < 50 ? 3 : random.Next(5)).Select(level => (uint)(random.NextDouble() * random.Next(1, 6 + (4 * level))))],
                tags: Tags(random), likes: random.Next(5) == 0 ? random.Next(100) : 0, reports: random.Next(20) == 0 ? 5 : 0))]);
    }

    private static SourceQuery Query(LiveIndex index, string filter, params string[] liked) => new(
        index, UserInterest.From(index, Make.Sequence([.. liked.Select((id, i) => (id, "like", Make.Now - (i * Make.Hour)))]), InterestShape.From(Make.Options)),
        QueryVectors.None, [], Catalogue.Filter(filter), Make.Now, Make.Now);

    private static string Path(Hypothesis prefix) => string.Join(' ', prefix.CodesIn(new uint[prefix.Depth]).ToArray());

    private static List<Seen> Rows(List<Hypothesis> found) => [.. found.SelectMany(prefix => prefix.Rows)];

    /// <summary>Lets something happen the first time that it is asked: in the middle of a search.</summary>
    private sealed class Changing(ICodeDecoding decoding, Action change) : ICodeDecoding
    {
        private bool _isChanged;

        /// <summary>Prefixes that were asked about.</summary>
        public int Prefixes { get; private set; }

        public void Score(ReadOnlySpan<uint> prefix, ReadOnlySpan<CodeChoice> choices, Span<double> logProbabilities)
        {
            if (!_isChanged) change();
            _isChanged = true;
            Prefixes++;
            decoding.Score(prefix, choices, logProbabilities);
        }
    }
}
