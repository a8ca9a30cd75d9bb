using System.Diagnostics;
using System.Globalization;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Retrieval;
using Mesh.Retrieval.Decoding;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Sources;

namespace Mesh.Benchmarks;

/// <summary>
/// The two ways of the semantic-ID beam under filters of several widths: over the whole tree, and constrained to the prefixes of what the filter
/// admits. Items have three codes of 256 values, skewed; tags that a share of them has, independent of the codes. One thread, best of the rounds.
/// </summary>
internal sealed class BeamBenchmark : IBenchmark
{
    private const int Dimensions = 16, Codes = 256, Levels = 3, EventsMax = 300;
    private const long NowMs = 1_800_000_000_000;

    public string Name => "beam";

    public string Summary => "looks, time and items found of the semantic-ID beam under filters, whole tree against eligible prefixes";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["items"] = "1000000",
        ["limits"] = "150,2000",
        ["passes"] = "0.002,0.01,0.1,0.5,1,2,5,10,50", // percent
        ["rounds"] = "15",
    };

    public Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int items = options.Int("items"), rounds = options.Int("rounds");
        if (items is < 1_000 or > 10_000_000 || rounds is < 1 or > 1_000) throw new ArgumentException("--items is 1,000 to 10,000,000, --rounds 1 to 1,000.");
        double[] percents = options.Doubles("passes");
        var settings = new RetrievalOptions { ItemsMax = items };
        LiveIndex index = Fill(settings, items, percents);
        UserInterest interest = UserInterest.From(index, History(items), InterestShape.From(settings));
        var decoder = new HistoryDecoder(settings.TrendingPrior);
        var shape = BeamShape.From(settings);

        var figures = new Figures();
        var rows = new List<string[]>();
        foreach (int limit in options.Ints("limits"))
        {
            foreach (double percent in percents)
            {
                var query = new SourceQuery(index, interest, QueryVectors.None, [], RowFilters.Parse($"tag:{Tag(percent)}"), NowMs, NowMs);
                ICodeDecoding decoding = decoder.Begin(query) ?? throw new InvalidOperationException("The history says nothing.");
                BeamSearch Search(bool isConstrained) => new(
                    index.Prefixes, decoding, query.Filter, shape, NowMs, isConstrained ? index.Vectors.Admitted(query.Filter, int.MaxValue, cancellation) : null);
                Timed walk = Time(rounds, () => Search(isConstrained: false), limit, cancellation), constrained = Time(rounds, () => Search(isConstrained: true), limit, cancellation);
                double planMs = BestMs(rounds, () => BeamPlan.Run(query, decoding, shape, limit, cancellation));
                string key = string.Create(CultureInfo.InvariantCulture, $"limit_{limit}_passes_{percent}");
                (figures[$"{key}_walk_ms"], figures[$"{key}_constrained_ms"], figures[$"{key}_planned_ms"]) = (walk.Ms, constrained.Ms, planMs);
                (figures[$"{key}_walk_rows"], figures[$"{key}_constrained_rows"]) = (walk.Rows, constrained.Rows);
                rows.Add([$"{limit}", Text(percent), $"{walk.Rows:N0}", $"{walk.Looks:N0}", Text(walk.Ms), $"{constrained.Rows:N0}", $"{constrained.Looks:N0}", Text(constrained.Ms), Text(planMs)]);
            }
        }

        Figures.Print(
            $"beam: {items:N0} items, {Codes} codes x {Levels}, width {shape.Width}, {shape.LooksMax:N0} looks, best of {rounds}",
            ["limit", "passes %", "walk: rows", "looks", "ms", "constrained: rows", "looks", "ms", "as planned ms"], rows);
        return Task.FromResult(figures);
    }

    private static LiveIndex Fill(RetrievalOptions options, int items, double[] percents)
    {
        var random = new Random(1);
        var rows = new Row[items];
        uint Code() => (uint)(Codes * random.NextDouble() * random.NextDouble()); // small codes hold more
        for (int i = 0; i < items; i++)
        {
            var item = new Item { ItemId = $"item-{i}", AuthorId = $"author-{i % 10_000}", CreatedAtMs = NowMs - (i * 1_000L) };
            foreach (double percent in percents)
            {
                if (random.NextDouble() < percent / 100) item.Tags.Add(Tag(percent));
            }

            rows[i] = new Row { State = new RowState(new ItemFacts(item, [Code(), Code(), Code()]), new Counters(), new Eligibility(), (ulong)i + 1, i) };
        }

        var index = new LiveIndex(IndexOrigin.None(options.CounterHalfLifeHours), IndexLimits.From(options), TimeProvider.System);
        index.Fill(new BeamRows(rows), Environment.ProcessorCount, new LoadTimes());
        return index;
    }

    private static Sequence History(int items)
    {
        var random = new Random(2);
        int events = Math.Min(EventsMax, items);
        var sequence = new Sequence { Actions = ByteString.CopyFrom([.. Enumerable.Repeat((byte)ActionTaxonomy.Default.IndexOf("like"), events)]) };
        sequence.ItemIds.AddRange(Enumerable.Range(0, events).Select(_ => $"item-{random.Next(items)}"));
        sequence.TimesMs.AddRange(Enumerable.Range(0, events).Select(i => NowMs - ((events - i) * 60_000L)));
        return sequence;
    }

    private static Timed Time(int rounds, Func<BeamSearch> make, int limit, CancellationToken cancellation)
    {
        BeamSearch search = make();
        int rows = search.Run(limit, cancellation).Sum(static prefix => prefix.Rows.Count), looks = search.Looks;
        return new Timed(rows, looks, BestMs(rounds, () => make().Run(limit, cancellation)));
    }

    private static double BestMs(int rounds, Action run)
    {
        double best = double.MaxValue;
        for (int i = 0; i < rounds; i++)
        {
            long started = Stopwatch.GetTimestamp();
            run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        }

        return best;
    }

    private static string Tag(double percent) => string.Create(CultureInfo.InvariantCulture, $"pass-{percent}");

    private static string Text(double number) => number.ToString("0.0##", CultureInfo.InvariantCulture);

    private sealed record Timed(int Rows, int Looks, double Ms);

    private sealed class BeamRows(Row[] rows) : BulkRows(rows)
    {
        public override int Dimensions => BeamBenchmark.Dimensions;

        public override ReadOnlySpan<float> Vector(int row)
        {
            float[] vector = new float[BeamBenchmark.Dimensions];
            vector[row % vector.Length] = 1;
            return vector;
        }
    }
}
