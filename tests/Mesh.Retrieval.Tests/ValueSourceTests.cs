using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;
using Mesh.Retrieval.Values;
using Mesh.Testing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Tests;

/// <summary>A listener hears the counters of other tests' apps too: tests that change formulas run one after the other.</summary>
[Collection(nameof(ValueFormulas))]
public sealed class ValueSourceTests
{
    private const int Items = 600;

    [Theory]
    [InlineData(QueryMerge.Max)]
    [InlineData(QueryMerge.Union)]
    public void Similarity_as_a_formula_finds_the_same_rows_in_the_same_order_with_the_same_scores(QueryMerge merge)
    {
        LiveIndex index = RandomIndex(seed: 3);
        SourceQuery query = Query(index, RandomQueries(seed: 4, count: 3));
        foreach (int limit in new[] { 1, 7, 100, 599, 600, 2_000 })
        {
            List<RowHit> plain = Make.TwoTower("", merge).Find(query, limit, CancellationToken.None);

            Assert.Equal(Math.Min(limit, Items), plain.Count);
            Assert.Equal(plain, Make.TwoTower("similarity", merge).Find(query, limit, CancellationToken.None));
            Assert.Equal(plain, Make.TwoTower("similarity + 0", merge).Find(query, limit, CancellationToken.None));
            Assert.Equal(plain, Make.TwoTower("1 * (similarity)", merge, poolMultiple: 1).Find(query, limit, CancellationToken.None));
        }
    }

    [Fact]
    public void A_formula_chooses_the_best_by_value_among_the_nearest_limit_times_multiple()
    {
        LiveIndex index = RandomIndex(seed: 5);
        SourceQuery query = Query(index, RandomQueries(seed: 6, count: 2));
        const string formula = "similarity + 0.1 * log1p(count.like) - 0.01 * age_hours";
        foreach (int multiple in new[] { 1, 4, 64 })
        {
            string[] expected =
            [
                .. Make.TwoTower().Find(query, 20 * multiple, CancellationToken.None)
                    .OrderByDescending(hit => hit.Score + (0.1 * Math.Log(1 + hit.State.Counters.Counts[0])) - (0.01 * ((Make.Now - hit.State.Facts.CreatedAtMs) / 3_600_000.0)))
                    .Take(20).Select(hit => hit.State.Facts.ItemId),
            ];

            Assert.Equal(expected, Ids(Make.TwoTower(formula, poolMultiple: multiple).Find(query, 20, CancellationToken.None)));
        }
    }

    [Theory]
    [InlineData(IndexShapes.Flat, QueryMerge.Max)]
    [InlineData(IndexShapes.Exact, QueryMerge.Max)]
    [InlineData(IndexShapes.Probing, QueryMerge.Max)]
    [InlineData(IndexShapes.Exact, QueryMerge.Union)]
    public void A_formula_chooses_from_all_that_a_narrow_filter_admits(string shape, QueryMerge merge)
    {
        var random = new Random(14);
        LiveIndex index = Make.Index(
            IndexShapes.Options(shape),
            [.. Enumerable.Range(0, 2_000).Select(i => Make.Row($"item-{i}", vector: Make.RandomVector(random), likes: random.Next(1_000), tags: i % 10 == 0 ? ["rare"] : []))]);
        SourceQuery all = Query(index, RandomQueries(seed: 15, count: 2)), few = all with { Filter = Catalogue.Filter("tag:rare") };
        string[] loved = [.. index.Vectors.Live().Where(live => few.Filter.Admits(live.State)).OrderByDescending(live => live.State.Counters.Counts[0]).Take(5).Select(live => live.State.Facts.ItemId)];
        List<string> Found(SourceQuery query, int wholeMax) => Ids(Make.TwoTower("count.like", merge, poolMultiple: 2, wholeMax).Find(query, 5, CancellationToken.None));

        if (shape != IndexShapes.Flat) Assert.Equal(loved, Found(few, wholeMax: 300)); // the flat index does not know how few there are
        Assert.Equal(loved, Found(few, wholeMax: 2_000));
        Assert.NotEqual(loved, Found(few, wholeMax: 0));
        Assert.Equal(Found(all, wholeMax: 0), Found(all, wholeMax: 1_999));
        Assert.NotEqual(Found(all, wholeMax: 0), Found(all, wholeMax: 2_000));
    }

    [Fact]
    public void Rows_without_a_finite_value_come_last_and_are_counted()
    {
        LiveIndex index = Make.Index(Make.Row("near", vector: [1, 0, 0, 0]), Make.Row("liked", vector: [0.5f, 1, 0, 0], likes: 4), Make.Row("loved", vector: [0, 1, 0, 0], likes: 9));
        long counted = 0;
        using var listener = Listen("mesh.retrieval.value.not_finite", (count, source) => counted += source == "two-tower" ? count : 0);

        List<RowHit> found = Make.TwoTower("similarity / count.like")
            .Find(Query(index, new QueryVectors([1, 0, 0, 0], 4)), 3, CancellationToken.None);

        Assert.Equal(["liked", "loved", "near"], Ids(found));
        Assert.Equal(double.NegativeInfinity, found[^1].Score);
        Assert.Equal(1, counted);
    }

    [Fact]
    public void Semantic_id_ranks_within_a_prefix_by_its_formula()
    {
        LiveIndex index = Make.Index(
            Make.Row("seed", vector: [1, 0, 0, 0], codes: [1, 1, 1]), Make.Row("near", vector: [1, 0.1f, 0, 0], codes: [1, 1, 3]),
            Make.Row("loved", vector: [0, 1, 0, 0], codes: [1, 1, 3], likes: 9), Make.Row("old", vector: [0.5f, 1, 0, 0], codes: [1, 1, 3], createdAtMs: Make.Now - (99 * Make.Hour)));
        UserInterest interest = UserInterest.From(index, Make.Sequence(("seed", "like", Make.Now)), InterestShape.From(new RetrievalOptions()));
        var filter = new RowFilter(new ItemHashSet([ItemHash.Compute("seed")]), Audience.Anyone, FilterPlan.All);
        var query = new SourceQuery(index, interest, interest.Means, [], filter, Make.Now, Make.Now);

        Assert.Equal(["loved", "near", "old"], Ids(Make.SemanticId(100).Find(query, 3, CancellationToken.None)));
        Assert.Equal(["loved", "near", "old"], Ids(Make.SemanticId(100, "trending + 0").Find(query, 3, CancellationToken.None)));
        Assert.Equal(["near", "old", "loved"], Ids(Make.SemanticId(100, "similarity").Find(query, 3, CancellationToken.None)));
        Assert.Equal(["old", "near", "loved"], Ids(Make.SemanticId(100, "age_hours + similarity").Find(query, 3, CancellationToken.None)));
    }

    [Fact]
    public void Union_gives_each_query_vector_an_equal_part_where_the_largest_similarity_gives_all_to_one()
    {
        LiveIndex index = Make.Index(
        [
            .. Enumerable.Range(0, 20).Select(i => Make.Row($"crowd-{i:00}", vector: [1, 0.01f * (i + 1), 0, 0])),
            .. Enumerable.Range(0, 20).Select(i => Make.Row($"niche-{i:00}", vector: [0, 0, 1, 1 + (0.01f * i)])),
        ]);
        SourceQuery query = Query(index, new QueryVectors([1, 0, 0, 0, 0, 0, 1, 0], 4));

        List<string> byMax = Ids(Make.TwoTower().Find(query, 10, CancellationToken.None));
        List<string> byUnion = Ids(Make.TwoTower(merge: QueryMerge.Union).Find(query, 10, CancellationToken.None));

        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"crowd-{i:00}"), byMax);
        Assert.Equal([.. Enumerable.Range(0, 5).Select(i => $"crowd-{i:00}"), .. Enumerable.Range(0, 5).Select(i => $"niche-{i:00}")], byUnion);
    }

    [Fact]
    public void Union_holds_the_parts_of_the_vectors_under_a_formula_too()
    {
        LiveIndex index = Make.Index(
        [
            .. Enumerable.Range(0, 40).Select(i => Make.Row($"crowd-{i:00}", vector: [1, 0.01f * (i + 1), 0, 0], likes: 1_000 + i)),
            .. Enumerable.Range(0, 40).Select(i => Make.Row($"niche-{i:00}", vector: [0, 0, 1, 0.01f * (i + 1)], likes: i)),
        ]);
        SourceQuery query = Query(index, new QueryVectors([1, 0, 0, 0, 0, 0, 1, 0], 4));

        List<string> found = Ids(Make.TwoTower("count.like", QueryMerge.Union, poolMultiple: 2).Find(query, 6, CancellationToken.None));

        Assert.Equal(["crowd-11", "crowd-10", "crowd-09", "niche-11", "niche-10", "niche-09"], found);
    }

    [Fact]
    public void Union_names_a_row_once_with_its_best_score_and_fills_what_a_short_list_leaves()
    {
        LiveIndex index = RandomIndex(seed: 7);
        List<RowHit> all = Make.TwoTower().Find(Query(index, RandomQueries(seed: 8, count: 1)), 10, CancellationToken.None);
        RowHit Scored(int i, double score) => all[i] with { Score = score };

        List<RowHit> union = QueryUnion.Take(
            [[Scored(0, 0.9), Scored(1, 0.5)], [], [Scored(0, 0.95), Scored(2, 0.8), Scored(3, 0.7), Scored(4, 0.6), Scored(1, 0.55)]], limit: 5);

        Assert.Equal([Scored(0, 0.95), Scored(2, 0.8), Scored(3, 0.7), Scored(4, 0.6), Scored(1, 0.55)], union);
        Assert.Equal(2, QueryUnion.Take([[Scored(0, 0.9)], [Scored(0, 0.8), Scored(1, 0.7)]], limit: 100).Count);
        Assert.Empty(QueryUnion.Take([[], []], limit: 5));
    }

    [Fact]
    public void Union_of_random_lists_is_as_large_as_it_can_be_and_fair()
    {
        LiveIndex index = RandomIndex(seed: 9);
        QueryVectors queries = RandomQueries(seed: 10, count: 4);
        foreach (int limit in new[] { 1, 3, 40, 599, 600, 2_000 })
        {
            List<RowHit> union = Make.TwoTower(merge: QueryMerge.Union).Find(Query(index, queries), limit, CancellationToken.None);

            Assert.Equal(Math.Min(limit, Items), union.Select(hit => hit.Row).Distinct().Count());
            Assert.Equal(union.Count, union.Select(hit => hit.Row).Distinct().Count());
            Assert.Equal(union.OrderByDescending(hit => hit), union);
            foreach (QueryVectors one in queries.Each())
            {
                List<string> own = Ids(Make.TwoTower().Find(Query(index, one), limit / 4, CancellationToken.None));
                Assert.Subset(new HashSet<string>(Ids(union)), new HashSet<string>(own));
            }
        }
    }

    [Fact]
    public async Task A_formula_swapped_under_load_gives_answers_of_one_formula_each()
    {
        LiveIndex index = RandomIndex(seed: 12);
        SourceQuery query = Query(index, RandomQueries(seed: 13, count: 2));
        string[] formulas = ["", "age_hours", "0 - age_hours", "count.like"];
        string[] expected = [.. formulas.Select(formula => Answer(Make.TwoTower(formula), query))];
        Assert.Equal(formulas.Length, expected.Distinct().Count());
        var settings = new ReloadableSettings([]);
        using ValueFormulas values = Make.Values(settings);
        var source = new TwoTowerSource(values, new TwoTowerShape(QueryMerge.Max, 4, 0), Make.Metrics);
        var seen = new ConcurrentDictionary<string, int>();
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(1));

        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            while (!stop.IsCancellationRequested) seen.AddOrUpdate(Answer(source, query), 1, static (_, count) => count + 1);
        }))];
        for (int change = 0; !stop.IsCancellationRequested && (seen.Count < formulas.Length || seen.Values.Sum() < 300); change++)
        {
            settings.Change("Retrieval:ValueFormula", change % 5 == 4 ? "nonsense(" : formulas[change % 5]);
            await Task.Yield();
        }

        await stop.CancelAsync();
        await Task.WhenAll(readers);
        Assert.Equal(expected.Order(), seen.Keys.Order());
    }

    [Fact]
    public void A_bad_formula_is_refused_as_a_whole_logged_and_the_ones_before_stay()
    {
        var settings = new ReloadableSettings(new() { ["Retrieval:ValueFormula"] = "similarity * 2" });
        var logger = new ListLogger();
        var outcomes = new List<string>();
        using var listener = Listen("mesh.retrieval.value.changes", (_, outcome) => outcomes.Add(outcome));
        using var values = new ValueFormulas(settings.Monitor<ValueFormulaOptions>(RetrievalOptions.Section), Make.Metrics, logger);

        settings.Change(("Retrieval:ValueFormula", "similarity * rate.lik"), ("Retrieval:SemanticIdValueFormula", "trending +"));
        Assert.Equal("similarity * 2", values.Current.TwoTowerText);
        string refused = Assert.Single(logger.Lines);
        Assert.StartsWith("Error: New value formulas refused: Retrieval:ValueFormula at position 13: 'rate.lik' is not a name", refused, StringComparison.Ordinal);
        Assert.Contains("; Retrieval:SemanticIdValueFormula at position 10: found the end", refused, StringComparison.Ordinal);
        Assert.EndsWith("Those before stay: two-tower ranks by 'similarity * 2', semantic-id by 'trending'", refused, StringComparison.Ordinal);

        settings.Change(("Retrieval:ValueFormula", "engagement"), ("Retrieval:SemanticIdValueFormula", "trending"));
        Assert.Equal("engagement", values.Current.TwoTower!.Text);
        Assert.Null(values.Current.SemanticId);
        Assert.Equal("Information: Value formulas changed: two-tower ranks by 'engagement', semantic-id by 'trending'", logger.Lines[1]);

        settings.Change("Retrieval:ValueFormula", " engagement ");
        Assert.Equal(2, logger.Lines.Count);
        lock (outcomes) Assert.Equal(["refused", "taken"], outcomes);
    }

    [Fact]
    public void A_deadline_ends_the_valuing_of_a_pool()
    {
        LiveIndex index = RandomIndex(seed: 14);
        SourceQuery query = Query(index, RandomQueries(seed: 15, count: 1));
        List<RowHit> pool = Make.TwoTower().Find(query, 100, CancellationToken.None);
        Assert.True(ValueParser.TryParse("age_hours", out ValueFormula? formula, out _));

        Assert.Throws<OperationCanceledException>(() => new ValueScan(formula!, query).Best(pool, 10, new CancellationToken(canceled: true)));
    }

    private static LiveIndex RandomIndex(int seed)
    {
        var random = new Random(seed);
        return Make.Index(
        [
            .. Enumerable.Range(0, Items).Select(i => Make.Row(
                $"item-{i:000}", vector: Make.RandomVector(random), likes: random.Next(1_000), createdAtMs: Make.Now - random.NextInt64(100 * Make.Hour))),
        ]);
    }

    private static QueryVectors RandomQueries(int seed, int count)
    {
        var random = new Random(seed);
        return new QueryVectors([.. Enumerable.Range(0, count).SelectMany(_ => Make.RandomVector(random))], Make.Dimensions);
    }

    private static SourceQuery Query(LiveIndex index, QueryVectors queries) =>
        new(index, UserInterest.From(index, null, InterestShape.From(new RetrievalOptions())), queries, [], RowFilter.Visible, Make.Now, Make.Now);

    private static string Answer(TwoTowerSource source, SourceQuery query) => string.Join(' ', Ids(source.Find(query, 20, CancellationToken.None)));

    private static List<string> Ids(List<RowHit> hits) => [.. hits.Select(hit => hit.State.Facts.ItemId)];

    private static MeterListener Listen(string name, Action<long, string> heard)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Name == name) self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, count, tags, _) => heard(count, tags[0].Value!.ToString()!));
        listener.Start();
        return listener;
    }

    private sealed class ListLogger : ILogger<ValueFormulas>
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add($"{logLevel}: {formatter(state, exception)}");
    }
}
