using System.Collections.Concurrent;
using Mesh.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests.Actors;

/// <summary>One request that the sidecar made to the app.</summary>
public sealed record ActorCall(string Method, string Path, string Body, IReadOnlyDictionary<string, string> Headers);

/// <summary>
/// An app that hosts actors by the bare protocol, without an SDK: it records what it is asked and answers as the test says.
/// </summary>
public sealed class ScriptedActorApp
{
    private readonly string _configuration;

    public ScriptedActorApp(string configuration = """{"entities":["Cart"]}""") => _configuration = configuration;

    public ConcurrentQueue<ActorCall> Calls { get; } = new();

    /// <summary>Answers a call of a method, reminder or timer; by default 200 without a body.</summary>
    public Func<ActorCall, HttpContext, Task> Answer { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Calls whose path ends so.</summary>
    public int Count(string suffix) => Calls.Count(call => call.Path.EndsWith(suffix, StringComparison.Ordinal));

    public void Map(WebApplication app)
    {
        app.MapGet("/dapr/config", () => Microsoft.AspNetCore.Http.Results.Text(_configuration, "application/json"));
        app.Map("/actors/{**path}", async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            string body = await reader.ReadToEndAsync();
            var call = new ActorCall(
                context.Request.Method, context.Request.Path + context.Request.QueryString, body,
                context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase));
            Calls.Enqueue(call);
            if (context.Request.Method == "PUT") await Answer(call, context);
        });
    }

    /// <summary>This app behind a sidecar of its own.</summary>
    public Task<SidecarHarness> StartAsync(
        IReadOnlyDictionary<string, string>? resources = null, TimeProvider? clock = null, string appId = "shop") =>
        SidecarHarness.StartAsync(resources ?? SidecarHarness.InMemoryState, Map, appId: appId, clock: clock);
}

/// <summary>Short forms of what tests send to a sidecar.</summary>
internal static class ActorRequests
{
    public static Task<HttpResponseMessage> CallAsync(this HttpClient http, string actor, string method = "do", string? body = null, CancellationToken cancellation = default) =>
        http.PutAsync($"v1.0/actors/{actor}/method/{method}", body is null ? null : new StringContent(body), cancellation);

    public static Task<HttpResponseMessage> RemindAsync(this HttpClient http, string actor, string name, string body) =>
        http.PutAsync($"v1.0/actors/{actor}/reminders/{name}", new StringContent(body));

    public static Task<HttpResponseMessage> SaveAsync(this HttpClient http, string actor, string operations) =>
        http.PutAsync($"v1.0/actors/{actor}/state", new StringContent(operations));

    /// <summary>The error code of a failed answer.</summary>
    public static async Task<string> ErrorCodeAsync(this HttpResponseMessage response)
    {
        using var body = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.False(string.IsNullOrEmpty(body.RootElement.GetProperty("message").GetString()));
        return body.RootElement.GetProperty("errorCode").GetString()!;
    }
}
