using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Tests;

/// <summary>The client and the importer against a scripted gateway in this process.</summary>
public sealed class ImporterTests : IAsyncLifetime
{
    private static readonly RetryOptions Quick = new() { FirstPause = TimeSpan.FromMilliseconds(5), LongestPause = TimeSpan.FromMilliseconds(20), Patience = TimeSpan.FromSeconds(20) };

    private readonly ScriptedGateway _gateway = new();

    public Task InitializeAsync() => _gateway.StartAsync();

    public async Task DisposeAsync() => await _gateway.DisposeAsync();

    [Fact]
    public async Task Rows_go_out_in_batches_items_first_then_follows_then_events()
    {
        ImportSummary summary = await ImportAsync(new Rows(items: 5, follows: 1, events: 7), new ImportOptions { BatchSize = 3, Concurrency = 1 });

        Assert.Equal(
            ["POST /v1/items", "POST /v1/items", "PUT /v1/users/u0/follows/a0", "POST /v1/events", "POST /v1/events", "POST /v1/events"],
            _gateway.Requests.Select(request => $"{request.Method} {request.Path}"));
        Assert.Equal((5, 1, 7, 0), (summary.Items.Accepted, summary.Follows.Accepted, summary.Events.Accepted, summary.Rejected));
        JsonElement first = _gateway.Requests.First().Body.GetProperty("items")[0];
        Assert.Equal(("i0", "a0", "text", 5), (first.GetProperty("itemId").GetString(), first.GetProperty("authorId").GetString(), first.GetProperty("text").GetString(), first.GetProperty("createdAt").GetInt64()));
        Assert.False(first.TryGetProperty("language", out _), "what is not known is left out");
    }

    [Theory]
    [InlineData(429)]
    [InlineData(503)]
    [InlineData(502)]
    [InlineData(500)]
    public async Task A_busy_or_broken_gateway_is_asked_again_and_every_row_arrives(int status)
    {
        _gateway.Script = (_, count) => count <= 3 ? status : null;

        ImportSummary summary = await ImportAsync(new Rows(items: 4, follows: 0, events: 0), new ImportOptions { Concurrency = 1 });

        Assert.Equal((4, 3), (summary.Items.Accepted, summary.Retries));
        Assert.Equal(4, _gateway.Requests.Count);
        Assert.Single(_gateway.Requests.Select(request => request.Body.ToString()).Distinct());
    }

    [Fact]
    public async Task Retry_After_is_obeyed()
    {
        _gateway.Script = (context, count) =>
        {
            if (count > 1) return null;
            context.Response.Headers.RetryAfter = "1";
            return 429;
        };
        long started = Stopwatch.GetTimestamp();

        await ImportAsync(new Rows(items: 1, follows: 0, events: 0), new ImportOptions());

        Assert.True(Stopwatch.GetElapsedTime(started) >= TimeSpan.FromSeconds(0.95), $"asked again after {Stopwatch.GetElapsedTime(started)}");
    }

    [Fact]
    public async Task An_import_survives_a_gateway_that_goes_away_and_comes_back()
    {
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _gateway.Script = (_, count) =>
        {
            if (count == 2) arrived.TrySetResult();
            return null;
        };
        Task<ImportSummary> import = ImportAsync(new Rows(items: 200, follows: 0, events: 200), new ImportOptions { BatchSize = 2, Concurrency = 2 });
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));

        await _gateway.StopAsync();
        await _gateway.StartAsync();
        ImportSummary summary = await import;

        Assert.Equal((200, 200), (summary.Items.Accepted, summary.Events.Accepted));
        string[] ids = [.. _gateway.Requests.Where(request => request.Path == "/v1/events").SelectMany(request => request.Body.GetProperty("events").EnumerateArray()).Select(row => row.GetProperty("eventId").GetString()!)];
        Assert.Equal(200, ids.Distinct().Count());
    }

    [Fact]
    public async Task Patience_with_a_gateway_that_stays_away_ends()
    {
        await _gateway.StopAsync();
        using var api = new FeedApi(_gateway.Url, Quick with { Patience = TimeSpan.FromMilliseconds(100) });

        FeedApiException exception = await Assert.ThrowsAsync<FeedApiException>(() => api.PostItemsAsync([Rows.Item(0)], CancellationToken.None));

        Assert.Contains("took nothing", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_that_is_refused_as_such_is_not_repeated()
    {
        _gateway.Script = (_, _) => 401;
        using var api = new FeedApi(_gateway.Url, Quick);

        FeedApiException exception = await Assert.ThrowsAsync<FeedApiException>(() => api.PostItemsAsync([Rows.Item(0)], CancellationToken.None));

        Assert.Contains("POST /v1/items answered 401: scripted 401", exception.Message, StringComparison.Ordinal);
        Assert.Single(_gateway.Requests);
    }

    [Fact]
    public async Task Rejected_rows_are_counted_and_the_first_reasons_kept_with_their_rows()
    {
        _gateway.Reject = row => row.TryGetProperty("eventId", out _) ? "action is unknown" : null;

        ImportSummary summary = await ImportAsync(new Rows(items: 1, follows: 0, events: 25), new ImportOptions { BatchSize = 7 });

        Assert.Equal((1, 0, 25), (summary.Items.Accepted, summary.Events.Accepted, summary.Rejected));
        Assert.Equal(ImportCount.ReasonsMax, summary.Events.FirstReasons.Count);
        Assert.All(summary.Events.FirstReasons, reason => Assert.Matches("^u\\d+ like i\\d+: .*action is unknown", reason));
        Assert.Contains("and 15 more", summary.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rows_that_the_broker_did_not_take_are_sent_again_alone_and_count_once()
    {
        var timesNotTaken = new ConcurrentDictionary<string, int> { ["u2"] = 2, ["u4"] = 1 };
        _gateway.Reject = row => UserOf(row) == "u1" ? "action is unknown" : null;
        _gateway.NotPublished = row => UserOf(row) is { } user && timesNotTaken.AddOrUpdate(user, -1, (_, left) => left - 1) >= 0;

        ImportSummary summary = await ImportAsync(new Rows(items: 1, follows: 0, events: 6), new ImportOptions { BatchSize = 6, Concurrency = 1 });

        string[] sent = [.. _gateway.Requests.Where(request => request.Path == "/v1/events").Select(request => string.Join(' ', request.Body.GetProperty("events").EnumerateArray().Select(UserOf)))];
        Assert.Equal(["u0 u1 u2 u3 u4 u5", "u2 u4", "u2"], sent);
        Assert.Equal((5, 1, 2), (summary.Events.Accepted, summary.Events.Rejected, summary.Retries));
        Assert.StartsWith("u1 like i1: ", Assert.Single(summary.Events.FirstReasons), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Patience_with_a_broker_that_takes_nothing_of_what_is_left_ends()
    {
        _gateway.NotPublished = row => row.GetProperty("itemId").GetString() == "i1";
        using var api = new FeedApi(_gateway.Url, Quick with { Patience = TimeSpan.FromMilliseconds(200) });

        FeedApiException exception = await Assert.ThrowsAsync<FeedApiException>(() => api.PostItemsAsync([Rows.Item(0), Rows.Item(1)], CancellationToken.None));

        Assert.Contains("1 rows were not published: {\"broker\":[\"not published\"]}", exception.Message, StringComparison.Ordinal);
        Assert.Equal(1, _gateway.Requests.Count(request => request.Body.GetProperty("items").GetArrayLength() == 2));
        Assert.True(_gateway.Requests.Count > 2, $"{_gateway.Requests.Count} calls");
    }

    [Fact]
    public async Task No_more_calls_are_in_flight_and_no_more_rows_read_than_the_gateway_keeps_up_with()
    {
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _gateway.Script = (_, _) =>
        {
            open.Task.GetAwaiter().GetResult(); // a gateway that answers nobody until it is told to
            return null;
        };
        var rows = new Rows(items: 100, follows: 0, events: 0);
        Task<ImportSummary> import = ImportAsync(rows, new ImportOptions { BatchSize = 2, Concurrency = 3 });
        await UntilAsync(() => _gateway.Requests.Count == 3);

        int read = rows.Read;
        open.SetResult();
        await import;

        Assert.InRange(read, 6, 8); // three batches under way, at most one more in hand
        Assert.InRange(_gateway.InFlightMax, 1, 3);
    }

    [Fact]
    public async Task Progress_reaches_every_total()
    {
        var lines = new List<string>();

        await new Importer(Api(), new ImportOptions { BatchSize = 3 }, TimeProvider.System).RunAsync(new Rows(items: 20, follows: 2, events: 9), new PlainProgress(lines.Add), CancellationToken.None);

        Assert.Contains("items: 20 of 20", lines);
        Assert.Contains("follows: 2 of 2", lines);
        Assert.Contains("events: 9 of 9", lines);
    }

    [Fact]
    public async Task Cancelling_ends_an_import()
    {
        using var cancel = new CancellationTokenSource();
        _gateway.Script = (_, count) =>
        {
            if (count == 2) cancel.Cancel();
            return 503;
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => new Importer(Api(), new ImportOptions(), TimeProvider.System).RunAsync(new Rows(items: 1, follows: 0, events: 0), new PlainProgress(_ => { }), cancel.Token));
    }

    private static string? UserOf(JsonElement row) => row.TryGetProperty("userId", out JsonElement user) ? user.GetString() : null;

    private FeedApi Api() => new(_gateway.Url, Quick);

    private async Task<ImportSummary> ImportAsync(IDataSet data, ImportOptions options)
    {
        using FeedApi api = Api();
        return await new Importer(api, options, TimeProvider.System).RunAsync(data, new PlainProgress(_ => { }), CancellationToken.None);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(20), "The condition did not come true in time.");
            await Task.Delay(10);
        }
    }

    private sealed class Rows(int items, int follows, int events) : IDataSet
    {
        private int _read;

        public int Read => Volatile.Read(ref _read);

        public string Name => "rows";

        public int? ItemCount => items;

        public int? FollowCount => follows;

        public int? EventCount => events;

        IEnumerable<ItemBody> IDataSet.Items() => Enumerable.Range(0, items).Select(index =>
        {
            Interlocked.Increment(ref _read);
            return Item(index);
        });

        IEnumerable<FollowBody> IDataSet.Follows() => Enumerable.Range(0, follows).Select(index => new FollowBody($"u{index}", $"a{index}"));

        IEnumerable<EventBody> IDataSet.Events() => Enumerable.Range(0, events).Select(index => new EventBody
        {
            EventId = EventIds.Make(index, "test"), UserId = $"u{index}", ItemId = $"i{index}", Action = "like", Time = index,
        });

        public static ItemBody Item(int index) => new() { ItemId = $"i{index}", AuthorId = $"a{index}", Text = "text", CreatedAt = 5 };
    }
}
