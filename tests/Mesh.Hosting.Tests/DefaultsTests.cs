using System.Net;
using Google.Protobuf;
using Mesh.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Hosting.Tests;

public sealed class DefaultsTests
{
    [Fact]
    public async Task A_spent_budget_ends_the_request_with_504()
    {
        await using TestApp app = await TestApp.StartAsync(web => web.MapGet("/slow", context => Task.Delay(Timeout.Infinite, context.RequestAborted)));
        using var request = new HttpRequestMessage(HttpMethod.Get, "/slow");
        request.Headers.Add(Deadline.Header, "30");

        using HttpResponseMessage response = await app.Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
    }

    [Fact]
    public async Task A_state_read_that_is_cut_short_is_a_cancellation_and_no_fault()
    {
        using Dapr.Client.DaprClient dapr = new Dapr.Client.DaprClientBuilder().Build();
        using var state = new SidecarState(dapr);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => state.GetBulkAsync(["key"], new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task A_protobuf_body_round_trips()
    {
        await using TestApp app = await StartEchoAsync();
        var sent = new ScoreRequest { RequestId = "r", UserId = "u", NowMs = 7 };

        using HttpResponseMessage response = await PostAsync(app, sent.ToByteArray(), ProtobufBody.ContentType);

        Assert.Equal(sent, ScoreRequest.Parser.ParseFrom(await response.Content.ReadAsByteArrayAsync()));
    }

    [Fact]
    public async Task An_empty_protobuf_body_is_the_empty_message()
    {
        await using TestApp app = await StartEchoAsync();

        using HttpResponseMessage response = await PostAsync(app, [], ProtobufBody.ContentType);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData("application/json", "{}", HttpStatusCode.UnsupportedMediaType)]
    [InlineData(ProtobufBody.ContentType, "not a message", HttpStatusCode.BadRequest)]
    public async Task A_body_that_is_not_the_message_is_refused_with_problem_details(string contentType, string body, HttpStatusCode status)
    {
        await using TestApp app = await StartEchoAsync();

        using HttpResponseMessage response = await PostAsync(app, System.Text.Encoding.UTF8.GetBytes(body), contentType);

        Assert.Equal(status, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused()
    {
        await using TestApp app = await StartEchoAsync();

        using HttpResponseMessage response = await PostAsync(app, new byte[Limits.BodyBytesMax + 1], ProtobufBody.ContentType);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Fact]
    public async Task Health_readiness_and_metrics_answer()
    {
        await using TestApp app = await TestApp.StartAsync(_ => { });

        foreach (string path in new[] { "/healthz", "/readyz", "/metrics" })
        {
            using HttpResponseMessage response = await app.Client.GetAsync(path);
            Assert.True(response.IsSuccessStatusCode, $"{path} answered {(int)response.StatusCode}");
        }
    }

    private static Task<TestApp> StartEchoAsync() => TestApp.StartAsync(web => web.MapPost("/echo", async (HttpRequest request, CancellationToken cancellation) =>
        new ProtobufResult(await request.ReadProtobufAsync<ScoreRequest>(cancellation))));

    private static async Task<HttpResponseMessage> PostAsync(TestApp app, byte[] body, string contentType)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new(contentType);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/echo") { Content = content };
        request.Headers.ExpectContinue = true; // a refused body is not sent, so that the answer is read and not a broken pipe
        return await app.Client.SendAsync(request);
    }
}
