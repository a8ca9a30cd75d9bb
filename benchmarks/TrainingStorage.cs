using System.Diagnostics.Metrics;
using System.Globalization;
using Mesh.Contracts;
using Mesh.SequenceStore;
using Mesh.SequenceStore.Sequences;
using Mesh.SequenceStore.Storage;
using Mesh.SequenceStore.Training;
using Mesh.SequenceStore.Writing;
using Microsoft.Extensions.DependencyInjection;

namespace Mesh.Benchmarks;

/// <summary>
/// Bytes that training data takes: rows joined on the fly from what sequence-store keeps anyway, against rows that hold their
/// sequence, once for each request or once for each served candidate. The service's own code writes and joins, over a store
/// in memory; all sizes are of protobuf, without the store's own overhead and without compression.
/// </summary>
internal sealed class TrainingStorage : IBenchmark
{
    private const long EpochMs = 1_750_000_000_000;

    public string Name => "training-storage";

    public string Summary => "bytes of training rows joined on the fly against rows that hold their sequence";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["users"] = "50",
        ["events"] = "2000",
        ["requests"] = "100",
        ["served"] = "30",
        ["unserved"] = "470",
        ["max-events"] = "512",
        ["seed"] = "1",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        var store = new MemoryState();
        using ServiceProvider meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var log = new UserLog(store, new LogShape(256, 8_192, 0, 16_384, 1_024), TimeProvider.System, new SequenceMetrics(meters.GetRequiredService<IMeterFactory>()));
        var users = new UserDirectory(store);
        var requests = new RequestLog(store, new Direct(users), pagesMax: 40);
        await FillAsync(options, log, requests, cancellation);

        var export = new TrainingExport(store, users, requests, new SequenceReader(store));
        var query = new TrainingQuery(0, long.MaxValue, options.Int("max-events"), TrainingEndpoint.WindowMsDefault, 0, long.MaxValue, null);
        long rows = 0, perRequest = 0, perCandidate = 0, sequences = 0;
        await foreach (TrainingRow row in export.RowsAsync(query, cancellation))
        {
            int whole = row.CalculateSize(), sequence = row.Sequence.CalculateSize();
            rows++;
            perRequest += whole;
            sequences += sequence;
            perCandidate += whole + ((long)(row.Candidates.Count - 1) * sequence);
        }

        long logs = store.Bytes("u:"), entries = store.Bytes("r:"), directory = store.Bytes("d:");
        long joined = logs + entries + directory;
        var figures = new Figures
        {
            ["rows"] = rows,
            ["joined_bytes"] = joined,
            ["joined_log_bytes"] = logs,
            ["joined_request_bytes"] = entries,
            ["per_request_bytes"] = perRequest,
            ["per_candidate_bytes"] = perCandidate,
            ["per_request_ratio"] = (double)(joined + perRequest) / joined,
            ["per_candidate_ratio"] = (double)(joined + perCandidate) / joined,
            ["sequence_ratio"] = (double)sequences / logs,
        };
        Figures.Print(
            $"training data: {options["users"]} users x {options["events"]} events, {rows} requests, {options["served"]} served of {options.Int("served") + options.Int("unserved")}, sequences of {options["max-events"]}",
            ["kept", "MB", "as a ratio", "bytes a request"],
            [
                ["logs, requests and directory; rows joined on the fly", Mb(joined), "1.0", Per(joined)],
                ["  of it the logs: every sequence, once", Mb(logs), "", Per(logs)],
                ["the same, and rows with a sequence for each request", Mb(joined + perRequest), Ratio(figures["per_request_ratio"]), Per(joined + perRequest)],
                ["the same, and rows with a sequence for each candidate", Mb(joined + perCandidate), Ratio(figures["per_candidate_ratio"]), Per(joined + perCandidate)],
                ["sequences in rows of requests against the logs", Mb(sequences), Ratio(figures["sequence_ratio"]), Per(sequences)],
            ]);
        return figures;

        string Per(long bytes) => (bytes / Math.Max(1, rows)).ToString("N0", CultureInfo.InvariantCulture);
    }

    private static async Task FillAsync(BenchmarkOptions options, UserLog log, RequestLog requests, CancellationToken cancellation)
    {
        var random = new Random(options.Int("seed"));
        int events = options.Int("events"), pages = options.Int("requests");
        for (int user = 0; user < options.Int("users"); user++)
        {
            string userId = $"user-{user}";
            RequestLogEntry[] entries = [.. Enumerable.Range(0, pages).Select(i => Entry(userId, EpochMs + ((long)i * events / pages * 60_000), options, random))];
            Engagement[] history = [.. Enumerable.Range(0, events).Select(i => Event(userId, EpochMs + (i * 60_000L) + 1_000, entries[Math.Min(pages - 1, i * pages / events)], random))];
            foreach (Engagement[] batch in history.Chunk(100)) await log.AppendAsync(userId, batch, cancellation);
            foreach (RequestLogEntry entry in entries) await requests.AppendAsync(userId, entry, cancellation);
        }
    }

    // As the gateway logs a page: probabilities and counters of what was served, a score and the sources of all.
    private static RequestLogEntry Entry(string user, long timeMs, BenchmarkOptions options, Random random)
    {
        int served = options.Int("served");
        var entry = new RequestLogEntry
        {
            RequestId = Ulid.NewUlid(DateTimeOffset.FromUnixTimeMilliseconds(timeMs)).ToString(), UserId = user, TimeMs = timeMs, Surface = "home", ModelVersion = "mini-1a2b3c4d",
            IndexVersion = Ulid.NewUlid().ToString(), Arms = { ["ranker"] = "transformer" },
        };
        for (int i = 0; i < served + options.Int("unserved"); i++)
        {
            bool isServed = i < served;
            var candidate = new LoggedCandidate { ItemId = $"item-{random.Next(100_000)}", Score = random.NextSingle(), Served = isServed, Sources = { "two-tower" } };
            if (isServed)
            {
                candidate.Probabilities.Add(Enumerable.Range(0, 14).Select(_ => random.NextSingle()));
                candidate.Counters = new Counters { Counts = { Enumerable.Range(0, 15).Select(_ => random.NextSingle() * 100) }, AsOfMs = timeMs };
            }

            entry.Candidates.Add(candidate);
        }

        return entry;
    }

    private static Engagement Event(string user, long timeMs, RequestLogEntry entry, Random random) => new()
    {
        EventId = Ulid.NewUlid(DateTimeOffset.FromUnixTimeMilliseconds(timeMs)).ToString(), UserId = user, TimeMs = timeMs, RequestId = entry.RequestId, Surface = "home",
        ItemId = entry.Candidates[random.Next(Math.Max(1, entry.Candidates.Count(candidate => candidate.Served)))].ItemId,
        Action = ActionTaxonomy.Default.Names[random.Next(ActionTaxonomy.Default.Count)], Value = random.Next(4) == 0 ? random.Next(60) : 0,
    };

    private static string Mb(long bytes) => (bytes / 1e6).ToString("N1", CultureInfo.InvariantCulture);

    private static string Ratio(double ratio) => ratio.ToString("0.0", CultureInfo.InvariantCulture);

    private sealed class Direct(UserDirectory users) : IDirectoryWriter
    {
        public Task AddAsync(string user, CancellationToken cancellation) => users.AddAsync(user, cancellation);

        public Task RemoveAsync(string user, CancellationToken cancellation) => users.RemoveAsync(user, cancellation);
    }

    private sealed class MemoryState : IUserStateStore
    {
        private readonly Dictionary<string, byte[]> _values = new(StringComparer.Ordinal);

        public long Bytes(string prefix) => _values.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal)).Sum(pair => (long)pair.Key.Length + pair.Value.Length);

        public Task<IReadOnlyDictionary<string, byte[]>> GetAsync(IReadOnlyCollection<string> keys, CancellationToken cancellation) =>
            Task.FromResult<IReadOnlyDictionary<string, byte[]>>(keys.Where(_values.ContainsKey).ToDictionary(key => key, key => _values[key], StringComparer.Ordinal));

        public Task TransactAsync(IReadOnlyCollection<KeyValuePair<string, byte[]?>> writes, CancellationToken cancellation)
        {
            foreach ((string key, byte[]? value) in writes)
            {
                if (value is null) _values.Remove(key);
                else _values[key] = value;
            }

            return Task.CompletedTask;
        }
    }
}
