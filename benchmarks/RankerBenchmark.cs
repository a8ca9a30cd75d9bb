using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Mesh.Contracts;

namespace Mesh.Benchmarks;

/// <summary>
/// The ranker as a process, asked over HTTP without sidecars: what it takes to encode a sequence and to score candidates with
/// the context unknown, held, and with the scores held too, beside the heuristic on the same requests. CPU is the service's own
/// per request: it stays what it is on a machine that does other things too.
/// </summary>
internal sealed class RankerBenchmark : IBenchmark
{
    public string Name => "ranker";

    public string Summary => "prepare and score over HTTP: context unknown, held, scores held, heuristic";

    public IReadOnlyDictionary<string, string> Options { get; } = new Dictionary<string, string>
    {
        ["candidates"] = "850",
        ["events"] = "512",
        ["clients"] = "1,2,8",
        ["seconds"] = "5",
    };

    public async Task<Figures> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        int port = FreePort();
        using Process service = Start(port);
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        try
        {
            await ReadyAsync(http, service, cancellation);
            return await MeasureAsync(http, service, options, cancellation);
        }
        finally
        {
            service.Kill(entireProcessTree: true);
        }
    }

    private static async Task<Figures> MeasureAsync(HttpClient http, Process service, BenchmarkOptions options, CancellationToken cancellation)
    {
        var figures = new Figures();
        var rows = new List<string[]>();
        ScoreRequest request = Request(options.Int("candidates"), options.Int("events"));
        var prepare = new PrepareRequest { UserId = request.UserId, Sequence = request.Sequence, History = { request.History } };
        string contextId = PrepareResponse.Parser.ParseFrom(await PostAsync(http, "prepare", prepare, cancellation)).ContextId;
        ScoreRequest named = request.Clone();
        named.ContextId = contextId;
        named.Sequence = null;
        named.History.Clear();

        // Each client changes its own copy: another user is another context, another surface is another score. The row's name is in the draw:
        // what one row leaves in the caches must not be found by the next.
        (string Name, string Arm, Func<ScoreRequest> Base, Action<ScoreRequest, string> Change)[] cases =
        [
            ("score, nothing held", "transformer", () => request, (copy, draw) => copy.UserId = draw),
            ("score, context held", "transformer", () => named, (copy, draw) => copy.Surface = draw),
            ("score, scores held", "transformer", () => named, (_, _) => { }),
            ("score, heuristic", "heuristic", () => request, (_, _) => { }),
        ];
        foreach (int clients in options.Ints("clients"))
        {
            await RowAsync("prepare, not held", clients, client =>
            {
                PrepareRequest mine = prepare.Clone();
                return draw =>
                {
                    mine.UserId = draw;
                    return PrepareAsync(http, mine, cancellation);
                };
            });
            await RowAsync("prepare, held", clients, _ => _ => PrepareAsync(http, prepare, cancellation));
            foreach ((string name, string arm, Func<ScoreRequest> from, Action<ScoreRequest, string> change) in cases)
            {
                await RowAsync(name, clients, client =>
                {
                    ScoreRequest mine = from().Clone();
                    mine.Arm = arm;
                    return draw =>
                    {
                        change(mine, draw);
                        return ScoreAsync(http, mine, cancellation);
                    };
                });
            }
        }

        Figures.Print(
            $"ranker: {options["candidates"]} candidates, {options["events"]} events, {Environment.ProcessorCount} cores shared with the clients",
            ["case", "clients", "requests/s", "p50 ms", "p95 ms", "CPU ms", "other arm"], rows);
        return figures;

        async Task RowAsync(string name, int clients, Func<int, Func<string, Task<bool>>> clientOf)
        {
            Func<string, Task<bool>>[] calls = [.. Enumerable.Range(0, clients).Select(clientOf)];
            var duration = TimeSpan.FromSeconds(options.Int("seconds"));
            foreach (string phase in new[] { "warm", "run" })
            {
                service.Refresh();
                TimeSpan before = service.TotalProcessorTime;
                LoadResult result = await ClosedLoop.RunAsync(
                    clients, phase == "warm" ? duration / 4 : duration, (client, i, _) => calls[client]($"{name}-{phase}-{clients}-{client}-{i}"), cancellation);
                if (phase == "warm") continue;
                service.Refresh();
                double cpuMs = (service.TotalProcessorTime - before).TotalMilliseconds / (result.LatenciesMs.Length + result.Failures);
                rows.Add([name, $"{clients}", $"{result.RequestsPerSecond:0.0}", Figures.Ms(result.Percentile(50)), Figures.Ms(result.Percentile(95)),
                    Figures.Ms(cpuMs), $"{result.Failures}"]);
                string key = $"{name.Replace(", ", "_", StringComparison.Ordinal).Replace(' ', '_')}_clients_{clients}";
                figures[$"{key}_requests_per_second"] = result.RequestsPerSecond;
                figures[$"{key}_p50_ms"] = result.Percentile(50);
                figures[$"{key}_p95_ms"] = result.Percentile(95);
                figures[$"{key}_cpu_ms"] = cpuMs;
            }
        }
    }

    private static async Task<bool> PrepareAsync(HttpClient http, PrepareRequest request, CancellationToken cancellation) =>
        PrepareResponse.Parser.ParseFrom(await PostAsync(http, "prepare", request, cancellation)).ContextId.Length > 0;

    // An answer of another arm than the asked one does not count: it is cheaper.
    private static async Task<bool> ScoreAsync(HttpClient http, ScoreRequest request, CancellationToken cancellation) =>
        ScoreResponse.Parser.ParseFrom(await PostAsync(http, "score", request, cancellation)) is var response
        && response.Arm == request.Arm && response.Scores.Count == request.Candidates.Count;

    private static async Task<byte[]> PostAsync(HttpClient http, string path, IMessage message, CancellationToken cancellation)
    {
        using var content = new ByteArrayContent(message.ToByteArray());
        content.Headers.ContentType = new("application/x-protobuf");
        using HttpResponseMessage response = await http.PostAsync(path, content, cancellation);
        return await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync(cancellation);
    }

    private static ScoreRequest Request(int candidates, int events)
    {
        var random = new Random(1);
        long nowMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        var request = new ScoreRequest { UserId = "u", Surface = "home", Sequence = new Sequence(), CounterHalfLifeHours = 24 };
        byte[] actions = new byte[events];
        for (int i = 0; i < events; i++)
        {
            string item = $"01J00000000000000000{i:000000}";
            request.History.Add(new HistoryItem { ItemId = item, AuthorId = $"author-{random.Next(100)}", Codes = { Codes(random) }, Tags = { $"tag-{random.Next(30)}" } });
            request.Sequence.ItemIds.Add(item);
            request.Sequence.TimesMs.Add(nowMs - ((events - i) * 600_000L));
            actions[i] = (byte)random.Next(ActionTaxonomy.Default.Count);
        }

        request.Sequence.Actions = ByteString.CopyFrom(actions);
        for (int i = 0; i < candidates; i++)
        {
            var counters = new Counters { AsOfMs = nowMs - random.Next(3_600_000) };
            for (int action = 0; action < ActionTaxonomy.Default.CounterCount; action++) counters.Counts.Add(random.NextSingle() * 100);
            request.Candidates.Add(new Candidate
            {
                ItemId = $"01J10000000000000000{i:000000}", AuthorId = $"author-{random.Next(100)}", Tags = { $"tag-{random.Next(30)}", $"tag-{random.Next(30)}" },
                CreatedAtMs = nowMs - random.Next(1_000_000_000), Codes = { Codes(random) }, Counters = counters, Similarity = random.NextSingle(),
            });
        }

        return request;
    }

    private static uint[] Codes(Random random) => [(uint)random.Next(64), (uint)random.Next(64), (uint)random.Next(64)];

    private static Process Start(int port)
    {
        // artifacts/bin/benchmarks/<configuration> beside artifacts/bin/ranker/<configuration>
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        string service = Path.Combine(here.Parent!.Parent!.FullName, "ranker", here.Name, "ranker.dll");
        if (!File.Exists(service)) throw new ArgumentException($"{service} is not there; build services/ranker first.");
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true };
        start.ArgumentList.Add(service);
        start.Environment["APP_PORT"] = $"{port}";
        Process process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        return process;
    }

    private static async Task ReadyAsync(HttpClient http, Process service, CancellationToken cancellation)
    {
        while (true)
        {
            if (service.HasExited) throw new ArgumentException($"The ranker ended with {service.ExitCode}.");
            try
            {
                if ((await http.GetAsync("healthz", cancellation)).IsSuccessStatusCode) return;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(100, cancellation);
            }
        }
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
