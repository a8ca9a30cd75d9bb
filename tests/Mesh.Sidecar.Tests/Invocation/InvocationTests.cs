using System.Net;
using System.Security.Cryptography;
using System.Text;
using Mesh.Sidecar.Tests.Actors;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests.Invocation;

/// <summary>Service invocation over HTTP, from one app's sidecar to another app.</summary>
public sealed class InvocationTests
{
    [Theory, InlineData("GET"), InlineData("POST"), InlineData("PUT"), InlineData("DELETE"), InlineData("PATCH"), InlineData("HEAD"), InlineData("OPTIONS")]
    public async Task Every_verb_passes_with_path_and_query(string verb)
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using var request = new HttpRequestMessage(new HttpMethod(verb), "v1.0/invoke/echo/method/api/v1/add?a=1&b=x%20y");

        using HttpResponseMessage response = await caller.Http.SendAsync(request);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal((verb, "/api/v1/add?a=1&b=x%20y"), (response.Header("X-Verb"), response.Header("X-Path")));
    }

    [Theory, InlineData(0), InlineData(1), InlineData(5_000), InlineData(3_000_000)]
    public async Task A_body_comes_back_as_it_went(int length)
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        byte[] body = new byte[length];
        new Random(1).NextBytes(body);
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new("application/x-protobuf");

        using HttpResponseMessage response = await caller.Http.PostAsync("v1.0/invoke/echo/method/x", content);
        byte[] echoed = await response.Content.ReadAsByteArrayAsync();

        Assert.Equal(SHA256.HashData(body), SHA256.HashData(echoed));
        Assert.Equal("application/x-protobuf", response.Content.Headers.ContentType!.ToString());
    }

    [Fact]
    public async Task Headers_pass_and_the_callee_learns_who_calls()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1.0/invoke/echo/method/x");
        request.Headers.Add("X-Custom", "mine");
        request.Headers.Add("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        request.Headers.Add("dapr-caller-app-id", "somebody-else");
        request.Headers.Add("Keep-Alive", "timeout=5");

        using HttpResponseMessage response = await caller.Http.SendAsync(request);

        Assert.Equal("mine", response.Header("Seen-X-Custom"));
        Assert.Equal(("caller", "echo"), (response.Header("Seen-dapr-caller-app-id"), response.Header("Seen-dapr-callee-app-id")));
        Assert.NotEqual("", response.Header("Seen-X-Forwarded-For"));
        Assert.NotEqual("", response.Header("Seen-X-Forwarded-Host"));
        Assert.Contains("for=", response.Header("Seen-Forwarded"), StringComparison.Ordinal);
        Assert.Contains("4bf92f3577b34da6a3ce929d0e0e4736", response.Header("Seen-traceparent"), StringComparison.Ordinal);
        Assert.Equal("", response.Header("Seen-Keep-Alive"));
    }

    [Theory, InlineData(201), InlineData(404), InlineData(409), InlineData(500), InlineData(503)]
    public async Task The_status_of_the_callee_is_the_status_of_the_call(int status)
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);

        using HttpResponseMessage response = await caller.Http.GetAsync($"v1.0/invoke/echo/method/status/{status}");

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("because", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_header_form_takes_any_path()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using var request = new HttpRequestMessage(HttpMethod.Post, "checkout/100?basket=1") { Content = new StringContent("order") };
        request.Headers.Add("dapr-app-id", "echo");

        using HttpResponseMessage response = await caller.Http.SendAsync(request);

        Assert.Equal(("/checkout/100?basket=1", "order"), (response.Header("X-Path"), await response.Content.ReadAsStringAsync()));
        Assert.Equal("", response.Header("Seen-dapr-app-id"));
    }

    [Fact]
    public async Task The_app_id_may_come_by_basic_authentication()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using var request = new HttpRequestMessage(HttpMethod.Get, "checkout/100");
        request.Headers.Authorization = new("Basic", Convert.ToBase64String("dapr-app-id:echo"u8));

        using HttpResponseMessage response = await caller.Http.SendAsync(request);

        Assert.Equal("/checkout/100", response.Header("X-Path"));
    }

    [Fact]
    public async Task The_sdk_client_calls_by_app_id_as_host_name()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);
        using HttpClient client = Dapr.Client.DaprClient.CreateInvokeHttpClient("echo", caller.Main.HttpEndpoint);

        using HttpResponseMessage response = await client.PostAsync("/orders/1", new StringContent("x"));

        Assert.Equal(("/orders/1", "x"), (response.Header("X-Path"), await response.Content.ReadAsStringAsync()));
    }

    [Fact]
    public async Task An_app_may_call_itself()
    {
        await using SidecarHarness echo = await SidecarHarness.StartAsync(app: EchoApp.Map, appId: "echo");

        using HttpResponseMessage response = await echo.Http.GetAsync("v1.0/invoke/echo/method/x");

        Assert.Equal("/x", response.Header("X-Path"));
        Assert.Equal("echo", response.Header("Seen-dapr-caller-app-id"));
    }

    [Fact]
    public async Task Two_apps_may_call_each_other_in_a_circle()
    {
        await using SidecarHarness first = await SidecarHarness.StartAsync(appId: "caller");
        RunningSidecar? pong = null;
        await first.AddAsync("ping", app => app.MapGet("/down/{left:int}", async (int left) =>
            left == 0 ? "bottom" : await pong!.Http.GetStringAsync($"v1.0/invoke/pong/method/down/{left - 1}")));
        (pong, _) = await first.AddAsync("pong", app => app.MapGet("/down/{left:int}", async (int left) =>
            left == 0 ? "bottom" : await first.Http.GetStringAsync($"v1.0/invoke/ping/method/down/{left - 1}")));

        string answer = await first.Http.GetStringAsync("v1.0/invoke/ping/method/down/10");

        Assert.Equal("bottom", answer);
    }

    [Fact]
    public async Task An_app_that_nobody_knows_is_a_500_that_names_it()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/nobody/method/x");

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Contains("failed to invoke, id: nobody", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("ERR_DIRECT_INVOKE", await response.ErrorCodeAsync());
    }

    [Fact]
    public async Task A_path_without_an_app_id_is_404()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");

        using HttpResponseMessage response = await caller.Http.GetAsync("no/such/route");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("ERR_DIRECT_INVOKE", await response.ErrorCodeAsync());
    }

    [OwnSidecarFact] // daprd decodes the path on the way
    public async Task Escapes_in_the_path_stay_as_they_are()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/echo/method/users/a%2Fb%20c/%25");

        Assert.Equal("/users/a%2Fb%20c/%25", response.Header("X-Raw-Target"));
    }

    [OwnSidecarFact] // an app in a namespace needs Kubernetes with a real one
    public async Task A_namespace_after_the_app_id_must_be_this_one()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);

        using HttpResponseMessage here = await caller.Http.GetAsync("v1.0/invoke/echo.default/method/x");
        using HttpResponseMessage elsewhere = await caller.Http.GetAsync("v1.0/invoke/echo.moon/method/x");

        Assert.Equal(HttpStatusCode.OK, here.StatusCode);
        Assert.Equal(HttpStatusCode.InternalServerError, elsewhere.StatusCode);
    }

    [Fact]
    public async Task A_second_slash_after_method_is_no_way_to_another_host()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", EchoApp.Map);

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/echo/method//example.com/x");

        Assert.Equal("/example.com/x", response.Header("X-Path"));
    }

    [Fact]
    public async Task A_request_that_goes_in_circles_is_stopped()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("echo", app => app.Map("/{**path}", async context =>
        {
            using var again = new HttpRequestMessage(HttpMethod.Get, "v1.0/invoke/echo/method/x");
            foreach (string? hop in context.Request.Headers["Forwarded"]) again.Headers.TryAddWithoutValidation("Forwarded", hop);
            using HttpResponseMessage next = await caller.Http.SendAsync(again);
            context.Response.StatusCode = (int)next.StatusCode;
            await context.Response.WriteAsync(await next.Content.ReadAsStringAsync());
        }));

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/echo/method/x").InTime();

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Contains("circles", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [OwnSidecarFact] // tokens come by environment variables with a real daprd
    public async Task The_callee_gets_its_own_token_and_never_the_caller_s()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller", configure: options => options with { ApiToken = "for-sidecar" });
        await caller.AddAsync("echo", EchoApp.Map, configure: options => options with { AppApiToken = "for-app" });
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1.0/invoke/echo/method/x");
        request.Headers.Add("dapr-api-token", "for-sidecar");

        using HttpResponseMessage response = await caller.Http.SendAsync(request);

        Assert.Equal("for-app", response.Header("Seen-dapr-api-token"));
    }

    [Fact]
    public async Task An_answer_streams_while_it_is_still_being_made()
    {
        var goOn = new TaskCompletionSource();
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("slow", app => app.MapGet("/lines", async context =>
        {
            await context.Response.WriteAsync("first\n");
            await context.Response.Body.FlushAsync();
            await goOn.Task;
            await context.Response.WriteAsync("second\n");
        }));

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/slow/method/lines", HttpCompletionOption.ResponseHeadersRead).InTime();
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync());
        string? first = await lines.ReadLineAsync().InTime();
        goOn.SetResult();
        string? second = await lines.ReadLineAsync().InTime();

        Assert.Equal(("first", "second"), (first, second));
    }

    [Fact]
    public async Task A_request_body_streams_while_it_is_still_being_sent()
    {
        var received = new TaskCompletionSource<string>();
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("slow", app => app.MapPost("/lines", async context =>
        {
            using var lines = new StreamReader(context.Request.Body);
            received.SetResult((await lines.ReadLineAsync())!);
            await lines.ReadToEndAsync();
        }));
        using var content = new PushedContent();

        Task<HttpResponseMessage> sending = caller.Http.PostAsync("v1.0/invoke/slow/method/lines", content);
        await content.WriteAsync("first\n");
        string first = await received.Task.InTime();
        content.End();
        using HttpResponseMessage response = await sending.InTime();

        Assert.Equal("first", first);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task A_caller_who_leaves_is_seen_by_the_callee()
    {
        var entered = new TaskCompletionSource();
        var aborted = new TaskCompletionSource();
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("slow", app => app.MapGet("/wait", async context =>
        {
            context.RequestAborted.Register(aborted.SetResult);
            entered.SetResult();
            await aborted.Task;
        }));
        using var leaving = new CancellationTokenSource();

        Task<HttpResponseMessage> call = caller.Http.GetAsync("v1.0/invoke/slow/method/wait", leaving.Token);
        await entered.Task.InTime();
        await leaving.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await aborted.Task.InTime();
    }

    [OwnSidecarFact] // the app comes and goes under a running sidecar, without daprd's own waits
    public async Task A_call_to_an_app_that_is_restarting_waits_for_it()
    {
        using var folder = new TempFolder();
        TestApp app = await TestApp.StartAsync(EchoApp.Map);
        await using EmbeddedSidecar sidecar = await EmbeddedSidecar.StartAsync("echo", folder.Path, app.Port);
        await app.DisposeAsync();

        Task<HttpResponseMessage> call = sidecar.Http.PostAsync("v1.0/invoke/echo/method/x", new StringContent("body"));
        await Task.Delay(50);
        await using TestApp back = await TestApp.StartAsync(EchoApp.Map, port: app.Port);
        using HttpResponseMessage response = await call.InTime();

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("body", await response.Content.ReadAsStringAsync());
    }

    [OwnSidecarFact]
    public async Task A_call_to_an_app_that_stays_away_fails_within_seconds_with_the_reason()
    {
        using var folder = new TempFolder();
        TestApp app = await TestApp.StartAsync(EchoApp.Map);
        await using EmbeddedSidecar sidecar = await EmbeddedSidecar.StartAsync("echo", folder.Path, app.Port);
        await app.DisposeAsync();

        using HttpResponseMessage response = await sidecar.Http.GetAsync("v1.0/invoke/echo/method/x").InTime();

        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        Assert.Contains("after 3 retries", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("ERR_DIRECT_INVOKE", await response.ErrorCodeAsync());
    }

    [OwnSidecarFact] // a limit of ours that a flag of daprd's sets otherwise
    public async Task A_body_over_the_limit_is_413()
    {
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller", configure: options => options with { BodyBytesMax = 1_000 });
        await caller.AddAsync("echo", EchoApp.Map);

        using HttpResponseMessage response = await caller.Http.PostAsync("v1.0/invoke/echo/method/x", new ByteArrayContent(new byte[2_000]));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [OwnSidecarFact]
    public async Task Calls_are_counted_by_callee_and_status()
    {
        var counted = new List<(string, int)>();
        using var listener = new System.Diagnostics.Metrics.MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Name == "mesh.sidecar.invocation.calls") self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, _, tags, _) =>
        {
            Dictionary<string, object?> by = tags.ToArray().ToDictionary(tag => tag.Key, tag => tag.Value);
            lock (counted) counted.Add(((string)by["callee"]!, (int)by["status"]!));
        });
        listener.Start();
        await using SidecarHarness caller = await SidecarHarness.StartAsync(appId: "caller");
        await caller.AddAsync("counted-echo", EchoApp.Map);

        using HttpResponseMessage response = await caller.Http.GetAsync("v1.0/invoke/counted-echo/method/status/409");
        await Waiting.UntilAsync(() => { lock (counted) return counted.Contains(("counted-echo", 409)); }, "the call was counted");

        Assert.Equal(HttpStatusCode.Conflict, response.StatusCode);
    }

    /// <summary>A request body that a test writes piece by piece.</summary>
    private sealed class PushedContent : HttpContent
    {
        private readonly TaskCompletionSource<Stream> _stream = new();
        private readonly TaskCompletionSource _end = new();

        public async Task WriteAsync(string text)
        {
            Stream stream = await _stream.Task.InTime();
            await stream.WriteAsync(Encoding.UTF8.GetBytes(text));
            await stream.FlushAsync();
        }

        public void End() => _end.SetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            _stream.SetResult(stream);
            await _end.Task;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
