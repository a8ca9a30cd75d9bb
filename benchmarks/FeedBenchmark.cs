using System.Globalization;
using System.Text.Json;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;
using Mesh.Testing;
using Spectre.Console;

namespace Mesh.Benchmarks;

/// <summary>
/// Closed-loop load on the feed through host and sidecars: a synthetic world goes in over REST, then N clients ask for feeds
/// of random users. Which sources found what was served tells whether all of them took part. Everything shares the machine: clients, sidecars, services and SQLite.
/// </summary>
internal sealed class FeedBenchmark : IBenchmark
{
    public string Name => "feed";

    public string Summary => "feed latency and requests/s through host and sidecars";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["users"] = "500",
        ["authors"] = "100",
        ["items"] = "10000",
        ["events"] = "100000",
        ["clients"] = "1,2,4,8",
        ["seconds"] = "10",
        ["limit"] = "30",
        ["seed"] = "1",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        await using MeshHost host = await MeshHost.StartAsync();
        var figures = new Figures();
        await FillAsync(host, options, figures, cancellation);

        int users = options.Int("users"), limit = options.Int("limit");
        List<string[]> rows = [], found = [];
        foreach (int clients in options.Ints("clients"))
        {
            var duration = TimeSpan.FromSeconds(options.Int("seconds"));
            var stages = new StageTimes();
            var sources = new ServedSources();
            Func<int, int, CancellationToken, Task<bool>> request = (client, i, cancel) => AskAsync(host.Http, User(client, i, users), limit, stages, sources, cancel);
            await ClosedLoop.RunAsync(clients, duration / 4, request, cancellation); // warm-up: JIT, connections, caches
            stages.Clear();
            sources.Clear();
            LoadResult result = await ClosedLoop.RunAsync(clients, duration, request, cancellation);
            rows.Add([$"{clients}", $"{result.RequestsPerSecond:0.0}", Figures.Ms(result.Percentile(50)), Figures.Ms(result.Percentile(95)),
                Figures.Ms(result.Percentile(99)), $"{result.Failures}", stages.Describe()]);
            found.Add([$"{clients}", sources.Describe()]);
            sources.Record(figures, $"clients_{clients}");
            Record(figures, $"clients_{clients}", result);
        }

        Figures.Print(
            $"feed: {options["items"]} items, {options["events"]} events, {users} users, {limit} items a page, {Environment.ProcessorCount} cores",
            ["clients", "requests/s", "p50 ms", "p95 ms", "p99 ms", "failed", "median ms by stage"], rows);
        Figures.Print("items served, by the sources that found them", ["clients", "% of items"], found);
        await ContextsAsync(host.Http, figures, cancellation);
        return figures;
    }

    // What became of the sequences that the ranker encoded while retrieval searched, over all requests of this run.
    private static async Task ContextsAsync(HttpClient http, Figures figures, CancellationToken cancellation)
    {
        string[] metrics = (await http.GetStringAsync("/metrics", cancellation)).Split('\n');
        double Sum(string name, string tag) => metrics.Where(line => line.StartsWith(name, StringComparison.Ordinal) && line.Contains(tag, StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));

        string[] outcomes = ["used", "none", "stale", "missing"];
        foreach (string outcome in outcomes) figures[$"context_{outcome}"] = Sum("mesh_gateway_context_scored", $"outcome=\"{outcome}\"");
        figures["context_bytes_saved_per_request"] = Sum("mesh_gateway_context_bytes_saved", "") / Math.Max(1, figures["context_used"]);
        Figures.Print(
            "contexts encoded while retrieval searched, by what scoring made of them", [.. outcomes, "bytes saved a request"],
            [[.. outcomes.Select(outcome => $"{figures[$"context_{outcome}"]}"), $"{figures["context_bytes_saved_per_request"]:0}"]]);
    }

    private static async Task FillAsync(MeshHost host, BenchmarkOptions options, Figures figures, CancellationToken cancellation)
    {
        SyntheticWorld world = SyntheticWorld.Create(new SyntheticOptions
        {
            Seed = options.Int("seed"),
            Users = options.Int("users"),
            Authors = options.Int("authors"),
            Items = options.Int("items"),
            Events = options.Int("events"),
            End = TimeProvider.System.GetUtcNow(),
        });
        using var api = new FeedApi(host.Http.BaseAddress!, clock: TimeProvider.System);
        var importer = new Importer(api, new ImportOptions { BatchSize = 1_000 }, TimeProvider.System);
        ImportSummary summary = await importer.RunAsync(world, new PlainProgress(AnsiConsole.WriteLine), cancellation);
        AnsiConsole.WriteLine(summary.ToString());
        figures["import_rows_per_second"] = (options.Int("items") + options.Int("events")) / summary.Elapsed.TotalSeconds;
        figures["settle_seconds"] = await SettleAsync(host.Http, cancellation);
    }

    // Accepted is durable with the broker; the consumers may still be behind. The load starts when the feed no longer changes
    // under it: two looks at the sequence numbers, a second apart, are equal.
    private static async Task<double> SettleAsync(HttpClient http, CancellationToken cancellation)
    {
        long started = TimeProvider.System.GetTimestamp();
        string before = "";
        while (true)
        {
            JsonElement system = JsonDocument.Parse(await http.GetStringAsync("/v1/system", cancellation)).RootElement;
            string now = string.Join(' ', Numbers(system, "sequence").Concat(Numbers(system, "eventsAppended")));
            if (now == before) return TimeProvider.System.GetElapsedTime(started).TotalSeconds;
            before = now;
            await Task.Delay(TimeSpan.FromSeconds(1), cancellation);
        }
    }

    private static IEnumerable<long> Numbers(JsonElement element, string name) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property => property.Name == name && property.Value.ValueKind == JsonValueKind.Number
            ? [property.Value.GetInt64()]
            : Numbers(property.Value, name)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(child => Numbers(child, name)),
        _ => [],
    };

    private static async Task<bool> AskAsync(HttpClient http, string user, int limit, StageTimes stages, ServedSources sources, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await http.GetAsync($"/v1/users/{user}/feed?limit={limit.ToString(CultureInfo.InvariantCulture)}", cancellation);
        if (!response.IsSuccessStatusCode) return false;

        using JsonDocument feed = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellation));
        stages.Add(feed.RootElement.GetProperty("timingsMs"));
        JsonElement items = feed.RootElement.GetProperty("items");
        sources.Add(items);
        return items.GetArrayLength() > 0 && feed.RootElement.GetProperty("degraded").GetArrayLength() == 0;
    }

    // A fixed walk through all users: the same requests in every run.
    private static string User(int client, int i, int users) => SyntheticWorld.UserId((int)(((client * 7919L) + (i * 104_729L)) % users));

    private static void Record(Figures figures, string name, LoadResult result)
    {
        figures[$"{name}_requests_per_second"] = result.RequestsPerSecond;
        figures[$"{name}_p50_ms"] = result.Percentile(50);
        figures[$"{name}_p95_ms"] = result.Percentile(95);
        figures[$"{name}_p99_ms"] = result.Percentile(99);
        figures[$"{name}_failures"] = result.Failures;
    }

    /// <summary>How many of the items served each source found; an item that several found counts for each.</summary>
    private sealed class ServedSources
    {
        private readonly SortedDictionary<string, int> _found = new(StringComparer.Ordinal);
        private int _items;

        public void Add(JsonElement items)
        {
            lock (_found)
            {
                foreach (JsonElement item in items.EnumerateArray())
                {
                    _items++;
                    foreach (JsonElement source in item.GetProperty("sources").EnumerateArray())
                    {
                        _found[source.GetString()!] = _found.GetValueOrDefault(source.GetString()!) + 1;
                    }
                }
            }
        }

        public void Clear()
        {
            lock (_found)
            {
                _items = 0;
                _found.Clear();
            }
        }

        public void Record(Figures figures, string name)
        {
            foreach ((string source, double percent) in Percents()) figures[$"{name}_percent_{source}"] = percent;
        }

        public string Describe() => string.Join(", ", Percents().Select(part => $"{part.Source} {part.Percent:0}"));

        private List<(string Source, double Percent)> Percents()
        {
            lock (_found) return [.. _found.Select(pair => (pair.Key, 100.0 * pair.Value / Math.Max(1, _items)))];
        }
    }

    /// <summary>Times that the responses report for their stages.</summary>
    private sealed class StageTimes
    {
        private readonly Dictionary<string, List<double>> _times = new(StringComparer.Ordinal);

        public void Add(JsonElement timings)
        {
            lock (_times)
            {
                foreach (JsonProperty stage in timings.EnumerateObject())
                {
                    if (!_times.TryGetValue(stage.Name, out List<double>? times)) _times[stage.Name] = times = [];
                    times.Add(stage.Value.GetDouble());
                }
            }
        }

        public void Clear()
        {
            lock (_times) _times.Clear();
        }

        public string Describe()
        {
            lock (_times)
            {
                return string.Join(", ", _times.Select(stage => (stage.Key, Median: stage.Value.Order().ElementAt(stage.Value.Count / 2)))
                    .Where(stage => stage.Median >= 0.5).OrderByDescending(stage => stage.Median)
                    .Select(stage => $"{stage.Key} {Figures.Ms(stage.Median)}"));
            }
        }
    }
}
