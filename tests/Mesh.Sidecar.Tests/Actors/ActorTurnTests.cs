using System.Net;
using System.Text.Json;
using Mesh.Sidecar.Actors;
using Mesh.Testing;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>Method calls: how they reach the app, one at a time, in order, and what comes back.</summary>
public sealed class ActorTurnTests
{
    [Theory, InlineData("GET"), InlineData("POST"), InlineData("PUT"), InlineData("DELETE")]
    public async Task Any_verb_becomes_a_put_with_body_query_and_headers(string verb)
    {
        var app = new ScriptedActorApp();
        await using SidecarHarness sidecar = await app.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(verb), "v1.0/actors/Cart/7/method/add?dry=1");
        request.Headers.Add("X-Trace", "abc");
        if (verb != "GET") request.Content = new StringContent("""{"n":1}""");

        using HttpResponseMessage response = await sidecar.Http.SendAsync(request);

        ActorCall call = Assert.Single(app.Calls);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(("PUT", "/actors/Cart/7/method/add?dry=1"), (call.Method, call.Path));
        Assert.Equal("abc", call.Headers["X-Trace"]);
        Assert.Equal(verb == "GET" ? "" : """{"n":1}""", call.Body);
    }

    [Fact]
    public async Task Body_content_type_and_headers_of_the_answer_pass()
    {
        var app = new ScriptedActorApp
        {
            Answer = async (_, context) =>
            {
                context.Response.ContentType = "application/x-cart";
                context.Response.Headers["X-Total"] = "42";
                await context.Response.WriteAsync("items");
            },
        };
        await using SidecarHarness sidecar = await app.StartAsync();

        using HttpResponseMessage response = await sidecar.Http.CallAsync("Cart/7");

        Assert.Equal("items", await response.Content.ReadAsStringAsync());
        Assert.Equal("application/x-cart", response.Content.Headers.ContentType!.ToString());
        Assert.Equal("42", Assert.Single(response.Headers.GetValues("X-Total")));
    }

    [Theory, InlineData(500), InlineData(404), InlineData(400)]
    public async Task A_method_that_fails_is_a_500_with_dapr_s_code(int status)
    {
        var app = new ScriptedActorApp
        {
            Answer = async (_, context) =>
            {
                context.Response.StatusCode = status;
                await context.Response.WriteAsync("why");
            },
        };
        await using SidecarHarness sidecar = await app.StartAsync();

        using HttpResponseMessage response = await sidecar.Http.CallAsync("Cart/7");

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Equal("ERR_ACTOR_INVOKE_METHOD", await response.ErrorCodeAsync());
    }

    [OwnSidecarFact] // looks into the line
    public async Task An_actor_runs_one_call_at_a_time_in_the_order_of_arrival()
    {
        int running = 0, most = 0;
        var gate = new SemaphoreSlim(0);
        var app = new ScriptedActorApp();
        app.Answer = async (_, _) =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            await gate.WaitAsync();
            Interlocked.Decrement(ref running);
        };
        await using SidecarHarness sidecar = await app.StartAsync();
        var calls = new List<Task<HttpResponseMessage>> { sidecar.Http.CallAsync("Cart/7", "0") };
        await Waiting.UntilAsync(() => app.Calls.Count == 1, "the first call runs");
        for (int i = 1; i < 10; i++)
        {
            calls.Add(sidecar.Http.CallAsync("Cart/7", $"{i}"));
            await Waiting.UntilAsync(() => InLine(sidecar) == i, $"call {i} is in line");
        }

        gate.Release(10);
        await Task.WhenAll(calls).InTime();

        Assert.Equal(1, most);
        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"/actors/Cart/7/method/{i}"), app.Calls.Select(call => call.Path));
    }

    [Fact]
    public async Task Different_actors_run_at_the_same_time()
    {
        var all = new CountdownEvent(3);
        var app = new ScriptedActorApp
        {
            Answer = async (_, _) =>
            {
                all.Signal();
                await Waiting.UntilAsync(() => all.IsSet, "all three run");
            },
        };
        await using SidecarHarness sidecar = await app.StartAsync();

        HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 3).Select(i => sidecar.Http.CallAsync($"Cart/{i}"))).InTime();

        Assert.All(responses, response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));
    }

    [OwnSidecarFact] // looks into the line
    public async Task A_caller_who_leaves_while_waiting_never_gets_a_turn()
    {
        var gate = new SemaphoreSlim(0);
        var app = new ScriptedActorApp();
        app.Answer = async (_, _) => await gate.WaitAsync();
        await using SidecarHarness sidecar = await app.StartAsync();
        Task<HttpResponseMessage> first = sidecar.Http.CallAsync("Cart/7", "first");
        await Waiting.UntilAsync(() => app.Calls.Count == 1, "the first call runs");
        using var leaving = new CancellationTokenSource();
        Task<HttpResponseMessage> left = sidecar.Http.CallAsync("Cart/7", "left", cancellation: leaving.Token);
        await Waiting.UntilAsync(() => InLine(sidecar) == 1, "the second call is in line");

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        await Waiting.UntilAsync(() => InLine(sidecar) == 0, "it is out of the line");
        Task<HttpResponseMessage> last = sidecar.Http.CallAsync("Cart/7", "last");
        gate.Release(3);
        await Task.WhenAll(first, last).InTime();

        Assert.Equal(["/actors/Cart/7/method/first", "/actors/Cart/7/method/last"], app.Calls.Select(call => call.Path));
    }

    [OwnSidecarFact] // daprd lets the next call in although the app is still running the first
    public async Task A_turn_goes_on_when_its_caller_leaves_and_the_next_waits_for_its_end()
    {
        var gate = new SemaphoreSlim(0);
        var app = new ScriptedActorApp();
        app.Answer = async (_, _) => await gate.WaitAsync();
        await using SidecarHarness sidecar = await app.StartAsync();
        using var leaving = new CancellationTokenSource();
        Task<HttpResponseMessage> first = sidecar.Http.CallAsync("Cart/7", "first", cancellation: leaving.Token);
        await Waiting.UntilAsync(() => app.Calls.Count == 1, "the first call runs");
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);

        Task<HttpResponseMessage> second = sidecar.Http.CallAsync("Cart/7", "second");
        await Task.Delay(200); // long enough for a second call to arrive, were it let through
        int whileFirstRuns = app.Calls.Count;
        gate.Release(2);
        using HttpResponseMessage response = await second.InTime();

        Assert.Equal(1, whileFirstRuns);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [OwnSidecarFact] // daprd finds out by its health probes alone
    public async Task When_the_app_is_gone_none_of_its_actors_is_active()
    {
        var app = new ScriptedActorApp();
        using var folder = new TempFolder();
        folder.Write("statestore.yaml", SidecarHarness.InMemoryState["statestore.yaml"]);
        TestApp process = await TestApp.StartAsync(app.Map);
        await using EmbeddedSidecar sidecar = await EmbeddedSidecar.StartAsync("shop", folder.Path, process.Port);
        await sidecar.Http.CallAsync("Cart/1");
        await sidecar.Http.CallAsync("Cart/2");
        int before = await ActiveAsync(sidecar);

        await process.DisposeAsync();
        using HttpResponseMessage refused = await sidecar.Http.CallAsync("Cart/1");
        await using TestApp next = await TestApp.StartAsync(app.Map, port: process.Port);
        using HttpResponseMessage answered = await sidecar.Http.CallAsync("Cart/1");

        Assert.Equal(HttpStatusCode.InternalServerError, refused.StatusCode);
        Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
        Assert.Equal((2, 1), (before, await ActiveAsync(sidecar)));
    }

    [OwnSidecarFact] // takes five seconds against a real one
    public async Task A_type_that_nobody_hosts_has_no_address()
    {
        var clock = new FakeTimeProvider();
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync(clock: clock);

        Task<HttpResponseMessage> call = sidecar.Http.CallAsync("Nobody/1");
        while (!call.IsCompleted)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(10);
        }

        using HttpResponseMessage response = await call;
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("ERR_ACTOR_NO_ADDRESS", await response.ErrorCodeAsync());
    }

    [Theory, InlineData("a%23b"), InlineData("a%3Fb"), InlineData("a%2Fb")]
    public async Task An_id_that_would_change_the_path_is_refused(string id)
    {
        await using SidecarHarness sidecar = await new ScriptedActorApp().StartAsync();

        using HttpResponseMessage response = await sidecar.Http.CallAsync($"Cart/{id}");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("ERR_BAD_REQUEST", await response.ErrorCodeAsync());
    }

    [Fact]
    public async Task An_actor_is_called_through_the_sidecar_of_another_app()
    {
        var app = new ScriptedActorApp();
        await using SidecarHarness sidecar = await app.StartAsync();
        (var other, _) = await sidecar.AddAsync("visitor");

        using HttpResponseMessage response = await other.Http.CallAsync("Cart/7", "add", "x");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("x", Assert.Single(app.Calls).Body);
    }

    [OwnSidecarFact] // the idle time is the clock's
    public async Task An_idle_actor_is_deactivated_and_a_busy_one_is_not()
    {
        var clock = new FakeTimeProvider();
        var gate = new SemaphoreSlim(0);
        var app = new ScriptedActorApp("""{"entities":["Cart"],"actorIdleTimeout":"10m","actorScanInterval":"1m"}""");
        app.Answer = async (call, _) =>
        {
            if (call.Path.Contains("/busy/", StringComparison.Ordinal)) await gate.WaitAsync();
        };
        await using SidecarHarness sidecar = await app.StartAsync(clock: clock);
        await sidecar.Http.CallAsync("Cart/idle");
        Task<HttpResponseMessage> busy = sidecar.Http.CallAsync("Cart/busy");
        await Waiting.UntilAsync(() => app.Calls.Count == 2, "both were called");

        for (int minute = 0; minute < 12; minute++)
        {
            clock.Advance(TimeSpan.FromMinutes(1));
            await Task.Delay(10);
        }

        await Waiting.UntilAsync(() => app.Calls.Any(call => call.Method == "DELETE"), "the idle actor was deactivated");
        gate.Release();
        await busy.InTime();
        Assert.Equal("/actors/Cart/idle", Assert.Single(app.Calls, call => call.Method == "DELETE").Path);
    }

    [Fact]
    public async Task Metadata_tells_the_hosted_types_and_how_many_actors_are_active()
    {
        var app = new ScriptedActorApp("""{"entities":["Cart","Order"]}""");
        await using SidecarHarness sidecar = await app.StartAsync();
        await sidecar.Http.CallAsync("Cart/1");
        await sidecar.Http.CallAsync("Cart/2");

        using var metadata = JsonDocument.Parse(await sidecar.Http.GetStringAsync("v1.0/metadata"));

        JsonElement runtime = metadata.RootElement.GetProperty("actorRuntime");
        Assert.Equal("RUNNING", runtime.GetProperty("runtimeStatus").GetString());
        Assert.True(runtime.GetProperty("hostReady").GetBoolean());
        JsonElement cart = runtime.GetProperty("activeActors").EnumerateArray().Single(type => type.GetProperty("type").GetString() == "Cart");
        Assert.Equal(2, cart.GetProperty("count").GetInt32());
    }

    private static int InLine(SidecarHarness sidecar) =>
        ((EmbeddedSidecar)sidecar.Main).Server.Block<ActorsBlock>().Host!.WaitingFor(new ActorKey("Cart", "7"));

    private static async Task<int> ActiveAsync(RunningSidecar sidecar)
    {
        using var metadata = JsonDocument.Parse(await sidecar.Http.GetStringAsync("v1.0/metadata"));
        return metadata.RootElement.GetProperty("actorRuntime").GetProperty("activeActors").EnumerateArray().Sum(type => type.GetProperty("count").GetInt32());
    }
}
