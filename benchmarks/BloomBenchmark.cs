using System.Diagnostics;
using System.Globalization;
using Mesh.Benchmarks.Bloom;

namespace Mesh.Benchmarks;

/// <summary>
/// The filter rows of retrieval against theory, and against other ways to find the items that an expression admits: sorted posting lists, a
/// bitmap for each value, and reading every item's list. One thread; every round runs every case on every query, the median is shown.
/// </summary>
internal sealed class BloomBenchmark : IBenchmark
{
    private const int Hashes = 5;

    // Frequent values are in most items, and with them the same bits: it takes many values asked to see the average.
    private const int ValuesAsked = 4_000, ItemsAsked = 25_000;

    public string Name => "bloom";

    public string Summary => "Bloom rows: false positives against theory, time and memory beside inverted and forward index";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["items"] = "1000000",
        ["values"] = "10",
        ["distinct"] = "20000",
        ["in"] = "3",
        ["conditions"] = "1,3,7",
        ["queries"] = "8",
        ["rounds"] = "5",
    };

    public Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int items = options.Int("items"), distinct = options.Int("distinct"), perItem = options.Int("values"), queries = Math.Max(1, options.Int("queries"));
        if (items is < 64 or > 10_000_000 || perItem is < 8 or > 200 || distinct is < 5_000 or > 1_000_000)
            throw new ArgumentException("--items is 64 to 10,000,000, --values 8 to 200, --distinct 5,000 to 1,000,000.");
        var figures = new Figures();
        var catalogue = new ValueCatalogue(items, perItem, distinct, seed: 1);
        var bloom512 = new TransposedRows("Bloom 512", catalogue, 512, frequentMax: 0, checks: false);
        var bloom1024 = new TransposedRows("Bloom 1,024", catalogue, 1_024, frequentMax: 0, checks: false);
        FalsePositives(catalogue, [bloom512, bloom1024], figures, cancellation);

        var bitmaps = new ValueBitmaps(catalogue);
        var served = new TransposedRows("rows as served", catalogue, 1_024, frequentMax: 1_024, checks: true);
        IValueIndex[] indexes = [served, bloom1024, bloom512, bitmaps, new InvertedIndex(catalogue), new ForwardIndex(catalogue)];
        Times(catalogue, indexes, bitmaps, options, figures, cancellation);
        Memory(catalogue, served, indexes, figures);
        Console.WriteLine("""
            What bounds it: Bloom rows read 5 bits of every item for each value whatever the answer is, so their time hardly depends on it, and
            a frequent value costs as much as a rare one. Exact rows read one bit, which is why frequent values have them. Posting lists read what a value
            has: for a rare value next to nothing, and no row of bits can come near; for frequent ones every entry, four bytes for a bit.
            The index asks the rows of the clusters that it probes only, where lists and bitmaps of the whole pool would be read for all.
            What did not help: half the bits of a signature, as the same 5 rows are read for a value, only closer together; and two hashes in place
            of five independent ones, whose sets of rows are so few that whole signatures fall together (FilterRows.BloomRows).
            """);
        return Task.FromResult(figures);
    }

    private static void FalsePositives(ValueCatalogue catalogue, TransposedRows[] indexes, Figures figures, CancellationToken cancellation)
    {
        var rows = new List<string[]>();
        var random = new Random(2);
        int[] absent = [.. Enumerable.Range(0, ValuesAsked).Select(i => catalogue.Distinct + i)];
        int[] rare = [.. Enumerable.Range(0, ValuesAsked).Select(_ => random.Next(catalogue.Distinct / 10, catalogue.Distinct))];
        int every = Math.Max(1, catalogue.Items / ItemsAsked);
        foreach (TransposedRows index in indexes)
        {
            double theory = Enumerable.Range(0, catalogue.Items)
                .Average(item => Math.Pow(1 - Math.Pow(1 - (1.0 / index.BloomBits), Hashes * index.SignedValues(item)), Hashes));
            foreach ((string kind, int[] values) in new[] { ("of no item", absent), ("rare", rare) })
            {
                long wrong = 0, without = 0;
                foreach (int value in values)
                {
                    cancellation.ThrowIfCancellationRequested();
                    (long here, long asked) = index.FalsePositives(value, every);
                    wrong += here;
                    without += asked;
                }

                double measured = (double)wrong / without;
                rows.Add([$"{index.BloomBits:N0}", kind, $"{measured / theory:0.00}", $"{1e6 * measured:0.00}", $"{1e6 * theory:0.00}", $"{wrong:N0}", $"{without:N0}"]);
                string key = $"false_positives_{index.BloomBits}_{(kind == "rare" ? "rare" : "absent")}";
                figures[$"{key}_to_theory"] = measured / theory;
                figures[$"{key}_per_million"] = 1e6 * measured;
            }
        }

        double average = Enumerable.Range(0, catalogue.Items).Average(item => (double)indexes[0].SignedValues(item));
        Figures.Print(
            $"false positives of one value: {catalogue.Items:N0} items, {average:0.0} values each on average (id, author, language and safety among them), {Hashes} hashes; theory (1-(1-1/m)^(kn))^k for each item's n",
            ["bits m", "values asked", "to theory", "per million", "theory", "wrong", "asked"], rows);
    }

    private static void Times(
        ValueCatalogue catalogue, IValueIndex[] indexes, ValueBitmaps bitmaps, BenchmarkOptions options, Figures figures, CancellationToken cancellation)
    {
        (int, int) frequent = (0, 50), rare = (catalogue.Distinct / 10, catalogue.Distinct);
        var random = new Random(3);
        var cases = new List<(string Name, ValueQuery[] Queries)>();
        foreach (int conditions in options.Ints("conditions"))
        {
            Add("frequent", Enumerable.Repeat(frequent, conditions));
            Add("rare and frequent", [rare, .. Enumerable.Repeat(frequent, conditions - 1)]);
            Add("rare", Enumerable.Repeat(rare, conditions));

            void Add(string name, IEnumerable<(int, int)> kinds)
            {
                (int, int)[] all = [.. kinds];
                if (name == "rare and frequent" && all.Length == 1) return;
                if (!CanDraw(catalogue, all)) return;
                cases.Add(($"{conditions}, {name}", [.. Enumerable.Range(0, options.Int("queries")).Select(_ => ValueQuery.Draw(catalogue, all, options.Int("in"), random))]));
            }
        }

        bitmaps.Make(cases.SelectMany(static one => one.Queries));
        var rows = new List<string[]>();
        foreach ((string name, ValueQuery[] queries) in cases)
        {
            double[] nanoseconds = [.. Enumerable.Repeat(0.0, indexes.Length)];
            var times = indexes.Select(static _ => new List<double>()).ToArray();
            long[] admitted = new long[indexes.Length];
            for (int round = -1; round < options.Int("rounds"); round++)
            {
                foreach (ValueQuery query in queries)
                {
                    for (int i = 0; i < indexes.Length; i++)
                    {
                        cancellation.ThrowIfCancellationRequested();
                        long started = Stopwatch.GetTimestamp();
                        int count = indexes[i].Run(query);
                        double elapsed = Stopwatch.GetElapsedTime(started).TotalNanoseconds;
                        if (round < 0) admitted[i] += count;
                        else times[i].Add(elapsed);
                    }
                }
            }

            Check(name, indexes, admitted);
            for (int i = 0; i < indexes.Length; i++) nanoseconds[i] = times[i].Order().ElementAt(times[i].Count / 2) * 1_000 / catalogue.Items;
            rows.Add(
            [
                name, .. Enumerable.Range(3, 3).Select(i => $"{nanoseconds[i] / nanoseconds[0]:0.00}x"), .. nanoseconds.Select(static one => one.ToString("0", CultureInfo.InvariantCulture)),
                Percent((double)admitted[0] / queries.Length / catalogue.Items),
            ]);
            string key = name.Replace(", ", "_", StringComparison.Ordinal).Replace(' ', '_');
            for (int i = 0; i < indexes.Length; i++) figures[$"ns_per_1000_{key}_{Key(indexes[i])}"] = nanoseconds[i];
            for (int i = 3; i < indexes.Length; i++) figures[$"ratio_{key}_{Key(indexes[i])}"] = nanoseconds[i] / nanoseconds[0];
        }

        Figures.Print(
            $"AND of conditions, each IN {options.Int("in")} values; ratios: time of the other over rows as served, which checks what it admits; then ns for 1,000 items (Bloom alone: unchecked)",
            ["conditions", .. indexes.Skip(3).Select(static index => index.Name), .. indexes.Select(static index => index.Name), "pass"], rows);
    }

    // Every exact way must admit the same, and Bloom rows alone no less.
    private static void Check(string name, IValueIndex[] indexes, long[] admitted)
    {
        for (int i = 0; i < indexes.Length; i++)
        {
            bool isBloom = i is 1 or 2;
            if (isBloom ? admitted[i] < admitted[^1] : admitted[i] != admitted[^1])
                throw new InvalidOperationException($"{indexes[i].Name} admits {admitted[i]} in '{name}', the forward index {admitted[^1]}.");
        }
    }

    // Seven rare values in one item may be more than any has.
    private static bool CanDraw(ValueCatalogue catalogue, (int From, int To)[] kinds) => Enumerable.Range(0, Math.Min(catalogue.Items, 200_000))
        .Any(item => kinds.GroupBy(static kind => kind).All(group => CountIn(catalogue.Of(item), group.Key) >= group.Count()));

    private static int CountIn(ReadOnlySpan<int> values, (int From, int To) kind)
    {
        int count = 0;
        foreach (int value in values) count += value >= kind.From && value < kind.To ? 1 : 0;
        return count;
    }

    private static void Memory(ValueCatalogue catalogue, TransposedRows served, IValueIndex[] indexes, Figures figures)
    {
        double own = served.Bytes;
        Figures.Print(
            $"memory: {catalogue.Items:N0} items, {catalogue.Values:N0} values of {catalogue.Distinct:N0}; {served.FrequentValues} of them have an exact row",
            ["index", "to rows as served", "bytes an item", "MB"],
            indexes.Select(index => (string[])[index.Name, $"{index.Bytes / own:0.00}", $"{(double)index.Bytes / catalogue.Items:0}", $"{index.Bytes / 1e6:0}"]));
        foreach (IValueIndex index in indexes) figures[$"bytes_per_item_{Key(index)}"] = (double)index.Bytes / catalogue.Items;
    }

    private static string Key(IValueIndex index) => index.Name.Replace(",", "", StringComparison.Ordinal).Replace(' ', '_').ToLowerInvariant();

    private static string Percent(double share) => $"{100 * share:0.####} %";
}
