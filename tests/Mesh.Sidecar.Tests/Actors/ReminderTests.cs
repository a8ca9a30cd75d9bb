using System.Net;
using System.Text.Json;
using Mesh.Testing;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Reminders: when they fire, what they bring, and that they outlive everything but their own end.</summary>
public sealed class ReminderTests
{
    private const string Fired = "/actors/Cart/7/method/remind/wake";
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero));
    private readonly ScriptedActorApp _app = new();

    [OwnSidecarFact]
    public async Task It_fires_when_due_and_then_each_period_with_the_documented_body()
    {
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        using HttpResponseMessage created = await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"0h0m3s0ms","period":"0h0m7s0ms","data":{"a":1}}""");
        Assert.Equal(HttpStatusCode.NoContent, created.StatusCode);

        await AdvanceAsync(2);
        int early = _app.Count(Fired);
        await FireAsync(1, expected: 1);
        await FireAsync(7, expected: 2);
        await FireAsync(7, expected: 3);

        Assert.Equal(0, early);
        using var body = JsonDocument.Parse(_app.Calls.First(call => call.Path == Fired).Body);
        Assert.Equal("""{"a":1}""", body.RootElement.GetProperty("data").GetRawText());
        Assert.Equal(("0h0m3s0ms", "0h0m7s0ms"), (body.RootElement.GetProperty("dueTime").GetString(), body.RootElement.GetProperty("period").GetString()));
    }

    [OwnSidecarTheory]
    [InlineData("""{"dueTime":"3s","period":""}""", 1)]
    [InlineData("""{"dueTime":"3s"}""", 1)]
    [InlineData("""{"period":"R3/PT3S"}""", 3)]
    [InlineData("""{"dueTime":"10s","period":"R4/PT3S","ttl":"10s"}""", 4)]
    [InlineData("""{"dueTime":"10s","period":"PT3S","ttl":"10s"}""", 4)]
    [InlineData("""{"period":"PT3S","ttl":"20s"}""", 7)]
    [InlineData("""{"dueTime":"2026-01-01T12:00:05Z"}""", 1)]
    public async Task It_fires_as_often_as_asked_and_is_gone_then(string request, int times)
    {
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.RemindAsync("Cart/7", "wake", request);

        for (int second = 0; second < 40; second++)
        {
            await AdvanceAsync(1);
        }

        await Waiting.UntilAsync(() => _app.Count(Fired) >= times, $"it fired {times} times");
        await IsGoneAsync(sidecar);
        Assert.Equal(times, _app.Count(Fired));
    }

    [OwnSidecarFact]
    public async Task It_survives_a_restart_and_one_that_was_missed_fires_at_once()
    {
        using var folder = new TempFolder();
        Write(folder, SidecarHarness.SqliteState);
        await using TestApp app = await TestApp.StartAsync(_app.Map);
        await using (EmbeddedSidecar first = await EmbeddedSidecar.StartAsync("shop", folder.Path, app.Port, clock: _clock))
        {
            await first.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"10m","period":"1h","data":"x"}""");
            await first.Http.RemindAsync("Cart/7", "later", """{"dueTime":"10h"}""");
        }

        _clock.Advance(TimeSpan.FromMinutes(30));
        await using EmbeddedSidecar second = await EmbeddedSidecar.StartAsync("shop", folder.Path, app.Port, clock: _clock);
        await Waiting.UntilAsync(() => _app.Count(Fired) == 1, "the missed reminder fired");

        // The grid is the old one: 12:10, 13:10, ...
        await WaitUntilSettledAsync(second, "2026-01-01T13:10");
        _clock.Advance(TimeSpan.FromMinutes(39));
        int early = _app.Count(Fired);
        _clock.Advance(TimeSpan.FromMinutes(1));
        await Waiting.UntilAsync(() => _app.Count(Fired) == 2, "the next period fired");
        Assert.Equal(1, early);
        Assert.Equal(0, _app.Count("later"));
    }

    [OwnSidecarFact] // a real daprd keeps them in its scheduler, a process of its own
    public async Task It_survives_kill_9_of_the_sidecar_right_after_it_was_acknowledged()
    {
        using var folder = new TempFolder();
        Write(folder, SidecarHarness.SqliteState);
        await using TestApp app = await TestApp.StartAsync(_app.Map);
        await using (SidecarProcess first = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "shop", folder.Path, app.Port))
        {
            using HttpResponseMessage created = await first.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"1s","data":"x"}""");
            await first.KillAsync();
            Assert.Equal(HttpStatusCode.NoContent, created.StatusCode);
        }

        await using SidecarProcess second = await SidecarProcess.StartAsync(SidecarProcess.OwnExecutable, "shop", folder.Path, app.Port);
        await Waiting.UntilAsync(() => _app.Count(Fired) == 1, "the reminder fired");

        Assert.Contains("\"data\":\"x\"", _app.Calls.Single(call => call.Path == Fired).Body, StringComparison.Ordinal);
    }

    [OwnSidecarFact]
    public async Task One_that_is_in_its_call_when_the_sidecar_stops_is_stored_before_it_does()
    {
        var inside = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        _app.Answer = async (_, _) =>
        {
            inside.TrySetResult();
            await goOn.Task;
        };
        using var folder = new TempFolder();
        Write(folder, SidecarHarness.SqliteState);
        await using TestApp app = await TestApp.StartAsync(_app.Map);
        EmbeddedSidecar first = await EmbeddedSidecar.StartAsync("shop", folder.Path, app.Port, clock: _clock);
        await first.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"0s"}""");
        await inside.Task.InTime();

        Task stopping = first.DisposeAsync().AsTask();
        goOn.SetResult();
        await stopping.InTime();
        await using EmbeddedSidecar second = await EmbeddedSidecar.StartAsync("shop", folder.Path, app.Port, clock: _clock);
        using HttpResponseMessage gone = await second.Http.GetAsync("v1.0/actors/Cart/7/reminders/wake");

        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
        Assert.Equal(1, _app.Count(Fired));
    }

    [OwnSidecarFact]
    public async Task Putting_it_again_replaces_it_unless_asked_not_to()
    {
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"5s","data":"old"}""");
        await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"20s","data":"new"}""");

        using HttpResponseMessage refused = await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"1s","overwrite":false}""");
        await AdvanceAsync(10);
        int early = _app.Count(Fired);
        await FireAsync(10, expected: 1);

        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        Assert.Equal("ERR_ACTOR_REMINDER_ALREADY_EXISTS", await refused.ErrorCodeAsync());
        Assert.Equal(0, early);
        Assert.Contains("new", _app.Calls.Single(call => call.Path == Fired).Body, StringComparison.Ordinal);
    }

    [OwnSidecarFact]
    public async Task One_that_fails_is_tried_three_times_more_and_the_next_period_still_comes()
    {
        _app.Answer = (_, context) =>
        {
            context.Response.StatusCode = 500;
            return Task.CompletedTask;
        };
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"1s","period":"60s"}""");

        await FireAsync(1, expected: 1);
        await FireAsync(1, expected: 2);
        await FireAsync(1, expected: 3);
        await FireAsync(1, expected: 4);
        await WaitUntilSettledAsync(((EmbeddedSidecar)sidecar.Main), "2026-01-01T12:01:01");
        await AdvanceAsync(10);
        int givenUp = _app.Count(Fired);
        await FireAsync(60, expected: 5);

        Assert.Equal(4, givenUp);
    }

    [OwnSidecarFact]
    public async Task One_that_falls_due_while_the_app_is_down_fires_when_it_is_back()
    {
        int port;
        using var folder = new TempFolder();
        Write(folder, SidecarHarness.SqliteState);
        TestApp app = await TestApp.StartAsync(_app.Map);
        await using EmbeddedSidecar sidecar = await EmbeddedSidecar.StartAsync("shop", folder.Path, port = app.Port, clock: _clock);
        await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"5s"}""");
        await app.DisposeAsync();

        for (int second = 0; second < 10; second++)
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(20);
        }

        int whileDown = _app.Count(Fired);
        await using TestApp back = await TestApp.StartAsync(_app.Map, port: port);
        while (_app.Count(Fired) == 0)
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(20);
        }

        Assert.Equal(0, whileDown);
        Assert.Equal(1, _app.Count(Fired));
    }

    [Fact]
    public async Task It_can_be_read_and_deleted_and_deleting_it_again_is_fine()
    {
        await using SidecarHarness sidecar = await _app.StartAsync();
        await sidecar.Http.RemindAsync("Cart/7", "wake", """{"dueTime":"1h","period":"2h","data":"x"}""");

        using var read = JsonDocument.Parse(await sidecar.Http.GetStringAsync("v1.0/actors/Cart/7/reminders/wake"));
        using HttpResponseMessage deleted = await sidecar.Http.DeleteAsync("v1.0/actors/Cart/7/reminders/wake");
        using HttpResponseMessage again = await sidecar.Http.DeleteAsync("v1.0/actors/Cart/7/reminders/wake");

        Assert.Equal("1h", read.RootElement.GetProperty("dueTime").GetString());
        Assert.Equal("x", read.RootElement.GetProperty("data").GetString());
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, again.StatusCode);
        await IsGoneAsync(sidecar);
    }

    [Theory]
    [InlineData("""{"dueTime":"soon"}""")]
    [InlineData("""{"period":"every day"}""")]
    [InlineData("""{"period":"R0/PT1S"}""")]
    [InlineData("""{"dueTime":"1h","ttl":"2020-01-01T00:00:00Z"}""")]
    public async Task A_schedule_that_makes_no_sense_is_refused(string request)
    {
        await using SidecarHarness sidecar = await _app.StartAsync();

        using HttpResponseMessage created = await sidecar.Http.RemindAsync("Cart/7", "wake", request);

        Assert.Equal(HttpStatusCode.InternalServerError, created.StatusCode);
        Assert.Equal("ERR_ACTOR_REMINDER_CREATE", await created.ErrorCodeAsync());
    }

    [Fact]
    public async Task One_of_a_type_that_is_hosted_elsewhere_is_refused()
    {
        await using SidecarHarness sidecar = await _app.StartAsync();

        using HttpResponseMessage created = await sidecar.Http.RemindAsync("Other/7", "wake", """{"dueTime":"1s"}""");

        Assert.Equal(HttpStatusCode.Forbidden, created.StatusCode);
        Assert.Equal("ERR_ACTOR_REMINDER_NON_HOSTED", await created.ErrorCodeAsync());
    }

    private static async Task IsGoneAsync(SidecarHarness sidecar)
    {
        HttpStatusCode status = HttpStatusCode.OK;
        for (int i = 0; i < 100 && status == HttpStatusCode.OK; i++)
        {
            using HttpResponseMessage read = await sidecar.Http.GetAsync("v1.0/actors/Cart/7/reminders/wake");
            status = read.StatusCode;
            if (status == HttpStatusCode.OK) await Task.Delay(20);
        }

        Assert.Equal(HttpStatusCode.NotFound, status);
    }

    private static void Write(TempFolder folder, Dictionary<string, string> resources)
    {
        foreach ((string name, string text) in resources) folder.Write(name, text);
    }

    /// <summary>Waits until the stored reminder has its next due time: only then does the clock move its agenda on.</summary>
    private static async Task WaitUntilSettledAsync(EmbeddedSidecar sidecar, string due)
    {
        var store = sidecar.Server.Context.States.ActorStore!;
        string stored = "";
        await Waiting.UntilAsync(() =>
        {
            Mesh.Sidecar.State.StateItem? item = store.GetAsync("dapr-reminder||shop||Cart||7||wake", CancellationToken.None).GetAwaiter().GetResult();
            stored = item is null ? "" : System.Text.Encoding.UTF8.GetString(item.Value.Span);
            return stored.Contains($"\"registeredTime\":\"{due}", StringComparison.Ordinal);
        }, $"the reminder is stored with {due}");
        await Task.Delay(30); // the agenda follows the store
    }

    private async Task AdvanceAsync(int seconds)
    {
        _clock.Advance(TimeSpan.FromSeconds(seconds));
        await Task.Delay(30); // what fired must be through before the clock moves on
    }

    private async Task FireAsync(int seconds, int expected)
    {
        await AdvanceAsync(seconds);
        await Waiting.UntilAsync(() => _app.Count(Fired) >= expected, $"call {expected} came");
        await Task.Delay(30);
        Assert.Equal(expected, _app.Count(Fired));
    }
}

/// <summary>As <see cref="OwnSidecarFactAttribute"/>, with data.</summary>
public sealed class OwnSidecarTheoryAttribute : TheoryAttribute
{
    public OwnSidecarTheoryAttribute()
    {
        if (SidecarHarness.Daprd is not null) Skip = "FEEDMESH_DAPRD points at a real daprd; this test is about the embedded sidecar.";
    }
}
