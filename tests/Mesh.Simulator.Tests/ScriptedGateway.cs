using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Mesh.Simulator.Tests;

/// <summary>
/// A gateway in this process that answers as a test scripts it and remembers what it was sent. Without a script it accepts
/// everything. It can be stopped and started again on the same port, as a gateway that restarts.
/// </summary>
internal sealed class ScriptedGateway : IAsyncDisposable
{
    private WebApplication? _web;

    /// <summary>Called for each request after its body was read; answers the status and, perhaps, sets headers. Null = accept.</summary>
    public Func<HttpContext, int, int?> Script { get; set; } = (_, _) => null;

    /// <summary>Rejects a row of a batch: the reason, or null.</summary>
    public Func<JsonElement, string?> Reject { get; set; } = _ => null;

    /// <summary>Whether the broker does not take a row that is fine.</summary>
    public Func<JsonElement, bool> NotPublished { get; set; } = _ => false;

    public ConcurrentQueue<(string Method, string Path, JsonElement Body)> Requests { get; } = new();

    public int InFlightMax { get; private set; }

    public Uri Url { get; private set; } = new("http://127.0.0.1:0");

    private int _count;
    private int _inFlight;

    public async Task StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Url.ToString());
        _web = builder.Build();
        _web.Run(HandleAsync);
        await _web.StartAsync();
        Url = new Uri(_web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public async Task StopAsync()
    {
        if (_web is null) return;
        await _web.DisposeAsync();
        _web = null;
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task HandleAsync(HttpContext context)
    {
        InFlightMax = Math.Max(InFlightMax, Interlocked.Increment(ref _inFlight));
        try
        {
            JsonElement body = context.Request.ContentLength > 0 ? await context.Request.ReadFromJsonAsync<JsonElement>() : default;
            Requests.Enqueue((context.Request.Method, context.Request.Path, body));
            if (Script(context, Interlocked.Increment(ref _count)) is { } status)
            {
                context.Response.StatusCode = status;
                await context.Response.WriteAsync($"scripted {status}");
                return;
            }

            await AcceptAsync(context, body);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    private async Task AcceptAsync(HttpContext context, JsonElement body)
    {
        if (body.ValueKind is not JsonValueKind.Object)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        JsonElement[] rows = [.. body.EnumerateObject().Single().Value.EnumerateArray()];
        var rejected = rows.Select((row, index) => (index, errors: ErrorsOf(row))).Where(row => row.errors is not null).ToArray();
        context.Response.StatusCode = StatusCodes.Status202Accepted;
        await context.Response.WriteAsJsonAsync(new
        {
            accepted = rows.Length - rejected.Length,
            rejected = rejected.Select(row => new { row.index, row.errors }),
        });
    }

    private Dictionary<string, string[]>? ErrorsOf(JsonElement row) =>
        Reject(row) is { } reason ? new() { ["action"] = [reason] }
        : NotPublished(row) ? new() { ["broker"] = ["not published"] }
        : null;
}
