using System.Net;
using System.Text.Json;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Testing;

namespace Mesh.SequenceStore.Tests;

/// <summary>GET training over HTTP: lines, faults, places.</summary>
public sealed class TrainingHttpTests : IDisposable
{
    private const long NowMs = Engagements.EpochMs;
    private const long DayMs = 24L * 60 * 60 * 1_000;

    private readonly SequenceApp _app = new();

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task Each_logged_request_is_one_line_of_protobuf_json_once_its_window_is_over()
    {
        await LogAsync(Request(1, "ann", NowMs - DayMs - 1), Request(2, "ann", NowMs - DayMs), Request(3, "bob", NowMs - 5));
        await _app.DeliverAsync(Topics.Engagements, Own(Engagements.Event(1, NowMs - DayMs + 4, "ann"), 1), Engagements.Event(2, NowMs - DayMs - 9, "ann"));

        (_, string whole) = await _app.SendAsync(HttpMethod.Get, "training");
        (_, string open) = await _app.SendAsync(HttpMethod.Get, $"training?until={NowMs}&maxUnserved=1&maxEvents=0");

        TrainingRow row = ProtobufJson.Parse<TrainingRow>(Assert.Single(Lines(whole)));
        Assert.Equal((RequestId(1), 1), (row.RequestId, row.Sequence.ItemIds.Count));
        Assert.Equal([2, 0], row.Candidates.Select(candidate => candidate.Actions.Count + (candidate.ItemId == "s0" ? 1 : 0)));
        TrainingRow[] rows = [.. Lines(open).Select(ProtobufJson.Parse<TrainingRow>)];
        Assert.Equal([RequestId(1), RequestId(2), RequestId(3)], rows.Select(each => each.RequestId).Order());
        Assert.All(rows, each => Assert.Equal((3, 0), (each.Candidates.Count, each.Sequence.ItemIds.Count)));
    }

    [Fact]
    public async Task Following_the_last_row_of_each_answer_gives_every_row_once()
    {
        await LogAsync([.. Enumerable.Range(0, 23).Select(i => Request(i, $"user-{i % 5}", NowMs - DayMs - 100 + i))]);
        (_, string whole) = await _app.SendAsync(HttpMethod.Get, "training");

        var pages = new List<string>();
        string[] page;
        string after = "";
        do
        {
            page = Lines((await _app.SendAsync(HttpMethod.Get, $"training?limit=4&after={after}")).Body);
            pages.AddRange(page);
            if (page.Length > 0) after = CursorOf(page[^1]);
        }
        while (page.Length > 0);

        Assert.Equal(23, pages.Count);
        Assert.Equal(Lines(whole), pages);
    }

    [Fact]
    public async Task All_faults_of_a_query_are_told_at_once()
    {
        (HttpStatusCode status, string body) = await _app.SendAsync(
            HttpMethod.Get, "training?from=-1&until=x&maxEvents=4097&windowMs=0&maxUnserved=5001&limit=0&after=nobody");
        (HttpStatusCode order, string orderBody) = await _app.SendAsync(HttpMethod.Get, "training?from=10&until=9");

        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest), (status, order));
        Assert.Equal(["after", "from", "limit", "maxEvents", "maxUnserved", "until", "windowMs"], Errors(body).Order());
        Assert.Contains("10 is after until, 9", orderBody);
    }

    [Theory]
    [InlineData("01M81S8F46ZVFPXZ362CCT4T2W")]
    [InlineData("01M81S8F46ZVFPXZ362CCT4T2W:")]
    [InlineData("01M81S8F46ZVFPXZ362CCT4T2W:a b")]
    [InlineData("91M81S8F46ZVFPXZ362CCT4T2W:ann")]
    public async Task A_cursor_that_no_row_can_have_given_is_a_fault(string after) =>
        Assert.Equal(HttpStatusCode.BadRequest, (await _app.SendAsync(HttpMethod.Get, $"training?after={Uri.EscapeDataString(after)}")).Status);

    [Fact]
    public async Task An_export_more_than_may_run_is_turned_away_and_a_place_comes_back_when_a_client_leaves()
    {
        await LogAsync(Request(1, "ann", NowMs - DayMs - 1));
        var reached = new SemaphoreSlim(0);
        var released = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _app.State.BeforeGet = async keys =>
        {
            if (!keys.Any(key => key.StartsWith("d:", StringComparison.Ordinal))) return;
            reached.Release();
            await released.Task;
        };
        using HttpClient client = _app.CreateClient();
        using var left = new CancellationTokenSource();
        Task<HttpResponseMessage> first = client.GetAsync("training", left.Token), second = client.GetAsync("training", CancellationToken.None);
        for (int i = 0; i < 2; i++) Assert.True(await reached.WaitAsync(TimeSpan.FromSeconds(20)));

        (HttpStatusCode third, string body) = await _app.SendAsync(HttpMethod.Get, "training");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, third);
        Assert.Contains("Sequence:ExportsMax", body);

        await left.CancelAsync();
        _app.State.BeforeGet = null;
        released.SetResult();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        using HttpResponseMessage answered = await second;
        Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
        for (int i = 0; i < 2; i++) await Eventually.TrueAsync(async () => (await _app.SendAsync(HttpMethod.Get, "training")).Status == HttpStatusCode.OK, "a free place");
    }

    [Fact]
    public async Task An_erased_user_vanishes_from_the_export()
    {
        await LogAsync(Request(1, "ann", NowMs - DayMs - 1), Request(2, "bob", NowMs - DayMs - 1));

        await _app.SendAsync(HttpMethod.Delete, "users/ann");

        Assert.Equal("bob", ProtobufJson.Parse<TrainingRow>(Assert.Single(Lines((await _app.SendAsync(HttpMethod.Get, "training")).Body))).UserId);
        Assert.DoesNotContain("r:" + RequestId(1), _app.State.Keys);
    }

    [Fact]
    public async Task A_request_without_a_time_is_not_logged()
    {
        (HttpStatusCode status, string body) = await _app.SendAsync(HttpMethod.Post, "requests", Request(1, "a b", 0));

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(["timeMs", "user"], Errors(body).Order());
    }

    private static RequestLogEntry Request(int index, string user, long timeMs) => TrainingExportTests.Request(index, user, timeMs);

    private static string RequestId(int index) => Request(index, "any", 1).RequestId;

    private static Engagement Own(Engagement engagement, int request)
    {
        engagement.RequestId = RequestId(request);
        engagement.ItemId = "s0";
        return engagement;
    }

    private async Task LogAsync(params RequestLogEntry[] entries)
    {
        foreach (RequestLogEntry entry in entries) Assert.Equal(HttpStatusCode.NoContent, (await _app.SendAsync(HttpMethod.Post, "requests", entry)).Status);
    }

    internal static string[] Lines(string body) => body.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    internal static string CursorOf(string line)
    {
        TrainingRow row = ProtobufJson.Parse<TrainingRow>(line);
        return $"{row.RequestId}:{row.UserId}";
    }

    private static IEnumerable<string> Errors(string body) => JsonDocument.Parse(body).RootElement.GetProperty("errors").EnumerateObject().Select(error => error.Name);
}
