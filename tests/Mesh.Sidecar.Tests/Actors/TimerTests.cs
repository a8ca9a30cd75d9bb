using System.Net;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Timers: in memory, for active actors only.</summary>
public sealed class TimerTests
{
    private const string Fired = "/actors/Cart/7/method/timer/tick";
    private readonly FakeTimeProvider _clock = new();
    private readonly ScriptedActorApp _app = new("""{"entities":["Cart"],"actorIdleTimeout":"1m","actorScanInterval":"10s"}""");

    [OwnSidecarFact]
    public async Task It_fires_each_period_with_its_callback_until_deleted()
    {
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.CallAsync("Cart/7");
        using HttpResponseMessage created = await PutAsync(sidecar, """{"dueTime":"1s","period":"2s","callback":"onTick","data":"x"}""");

        await FireAsync(1, expected: 1);
        await FireAsync(2, expected: 2);
        using HttpResponseMessage deleted = await sidecar.Http.DeleteAsync("v1.0/actors/Cart/7/timers/tick");
        _clock.Advance(TimeSpan.FromSeconds(10));
        await Task.Delay(50);

        Assert.Equal(HttpStatusCode.NoContent, created.StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        Assert.Equal(2, _app.Count(Fired));
        Assert.Equal("""{"data":"x","callback":"onTick","dueTime":"1s","period":"2s"}""", _app.Calls.First(call => call.Path == Fired).Body);
    }

    [OwnSidecarFact]
    public async Task A_failure_does_not_stop_it()
    {
        _app.Answer = (_, context) =>
        {
            context.Response.StatusCode = 500;
            return Task.CompletedTask;
        };
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.CallAsync("Cart/7");
        await PutAsync(sidecar, """{"dueTime":"1s","period":"R3/PT2S"}""");

        await FireAsync(1, expected: 1);
        await FireAsync(2, expected: 2);
        await FireAsync(2, expected: 3);
        _clock.Advance(TimeSpan.FromSeconds(10));
        await Task.Delay(50);

        Assert.Equal(3, _app.Count(Fired));
    }

    [OwnSidecarFact]
    public async Task It_goes_with_its_actor()
    {
        await using SidecarHarness sidecar = await _app.StartAsync(clock: _clock);
        await sidecar.Http.CallAsync("Cart/7");
        await PutAsync(sidecar, """{"dueTime":"5m"}""");

        for (int i = 0; i < 8; i++)
        {
            _clock.Advance(TimeSpan.FromSeconds(10));
            await Task.Delay(20);
        }

        await Waiting.UntilAsync(() => _app.Calls.Any(call => call.Method == "DELETE"), "the actor was deactivated");
        _clock.Advance(TimeSpan.FromMinutes(5));
        await Task.Delay(50);

        Assert.Equal(0, _app.Count(Fired));
    }

    [Fact]
    public async Task It_needs_an_active_actor()
    {
        await using SidecarHarness sidecar = await _app.StartAsync();

        using HttpResponseMessage created = await PutAsync(sidecar, """{"dueTime":"1s"}""");

        Assert.Equal(HttpStatusCode.BadRequest, created.StatusCode);
        Assert.Equal("ERR_ACTOR_INSTANCE_MISSING", await created.ErrorCodeAsync());
    }

    private static Task<HttpResponseMessage> PutAsync(SidecarHarness sidecar, string body) =>
        sidecar.Http.PutAsync("v1.0/actors/Cart/7/timers/tick", new StringContent(body));

    private async Task FireAsync(int seconds, int expected)
    {
        _clock.Advance(TimeSpan.FromSeconds(seconds));
        await Waiting.UntilAsync(() => _app.Count(Fired) >= expected, $"call {expected} came");
        await Task.Delay(30); // the next tick is set once the call has returned
        Assert.Equal(expected, _app.Count(Fired));
    }
}
