using System.Diagnostics;
using System.Globalization;
using System.Net;
using Mesh.Simulator.Rest;
using Mesh.Simulator.Synthetic;
using Mesh.Testing;

namespace Mesh.Benchmarks;

/// <summary>
/// The same through gateway, broker, index-updater and retrieval: POST of events and items at the rate, an item of its own every 200 ms that is
/// looked for until retrieval has it, and feeds beside it. What counts is the time from before the POST until the answer that found it.
/// </summary>
internal static class MeshFreshness
{
    private const int Users = 200, BatchesPerSecond = 20, NewItemsPerBatch = 2;

    private static readonly TimeSpan ProbeEvery = TimeSpan.FromMilliseconds(200), LookEvery = TimeSpan.FromMilliseconds(5), Patience = TimeSpan.FromSeconds(30);

    public static async Task<Freshness> RunAsync(BenchmarkOptions options, CancellationToken cancellation)
    {
        await using MeshHost host = await MeshHost.StartAsync();
        using var api = new FeedApi(host.Http.BaseAddress!, clock: TimeProvider.System);
        int items = options.Int("meshitems");
        foreach (int[] batch in Enumerable.Range(0, items).Chunk(1_000)) await api.PostItemsAsync([.. batch.Select(i => Item($"item-{i}"))], cancellation);
        await SeenAsync(host.Http, $"item-{items - 1}", cancellation);

        var duration = TimeSpan.FromSeconds(options.Int("seconds"));
        Func<int, int, CancellationToken, Task<bool>> feed = async (client, i, cancel) =>
        {
            using HttpResponseMessage response = await host.Http.GetAsync($"/v1/users/{User(i)}/feed?limit=30", cancel);
            await response.Content.ReadAsByteArrayAsync(cancel);
            return response.IsSuccessStatusCode;
        };
        await ClosedLoop.RunAsync(1, duration / 4, feed, cancellation); // warm-up
        LoadResult off = await ClosedLoop.RunAsync(1, duration, feed, cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task<long> updating = UpdateAsync(api, options.Int("rate"), items, stop.Token);
        Task<List<double>> probing = ProbeAsync(host.Http, api, stop.Token);
        long started = Stopwatch.GetTimestamp();
        LoadResult on = await ClosedLoop.RunAsync(1, duration, feed, cancellation);
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        await stop.CancelAsync();
        return new Freshness(off, on, await probing, await updating / seconds);
    }

    // Open loop: what is late is sent at once, so that the rate is what was asked for or what the mesh takes.
    private static async Task<long> UpdateAsync(FeedApi api, int rate, int items, CancellationToken stop)
    {
        var random = new Random(5);
        long sent = 0;
        int each = Math.Max(NewItemsPerBatch + 1, rate / BatchesPerSecond);
        long started = Stopwatch.GetTimestamp();
        try
        {
            while (true)
            {
                double aheadSeconds = (double)sent / rate - Stopwatch.GetElapsedTime(started).TotalSeconds;
                if (aheadSeconds > 0) await Task.Delay(TimeSpan.FromSeconds(aheadSeconds), stop);
                long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
                EventBody[] events =
                [
                    .. Enumerable.Range(0, each - NewItemsPerBatch).Select(i => new EventBody
                    {
                        EventId = Ulid(now, sent + i), UserId = User(random.Next(Users)), ItemId = $"item-{random.Next(items)}", Action = "like", Time = now,
                    }),
                ];
                Task<BatchAnswer> posting = api.PostEventsAsync(events, stop);
                await api.PostItemsAsync([.. Enumerable.Range(0, NewItemsPerBatch).Select(i => Item($"new-{sent + i}"))], stop);
                await posting;
                sent += each;
            }
        }
        catch (OperationCanceledException)
        {
            return sent;
        }
    }

    private static async Task<List<double>> ProbeAsync(HttpClient http, FeedApi api, CancellationToken stop)
    {
        var delays = new List<double>();
        try
        {
            for (int i = 0; ; i++)
            {
                long started = Stopwatch.GetTimestamp();
                await api.PostItemsAsync([Item($"probe-{i}")], stop);
                await SeenAsync(http, $"probe-{i}", stop);
                delays.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
                if (ProbeEvery - Stopwatch.GetElapsedTime(started) is { Ticks: > 0 } rest) await Task.Delay(rest, stop);
            }
        }
        catch (OperationCanceledException)
        {
            return delays;
        }
    }

    private static async Task SeenAsync(HttpClient http, string item, CancellationToken stop)
    {
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Patience)
        {
            using HttpResponseMessage response = await http.GetAsync($"/v1/items/{item}/similar?limit=1", stop);
            if (response.StatusCode == HttpStatusCode.OK) return;
            await Task.Delay(LookEvery, stop);
        }

        throw new TimeoutException($"{item} is not retrievable {Patience.TotalSeconds:0} s after it was accepted.");
    }

    private static ItemBody Item(string id) => new()
    {
        ItemId = id, AuthorId = $"author-{id.Length % 7}{id[^1]}", Text = $"{id} about something to read in the morning", Tags = ["tag-" + id[^1]],
    };

    // 26 characters of Crockford's base 32: 10 of time, 16 that number the event.
    private static string Ulid(long timeMs, long number)
    {
        const string Digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        return string.Create(26, (timeMs, number), static (text, of) =>
        {
            for (int i = 9; i >= 0; i--, of.timeMs >>= 5) text[i] = Digits[(int)(of.timeMs & 31)];
            for (int i = 25; i >= 10; i--, of.number >>= 5) text[i] = Digits[(int)(of.number & 31)];
        });
    }

    private static string User(int number) => string.Create(CultureInfo.InvariantCulture, $"user-{number % Users}");
}
