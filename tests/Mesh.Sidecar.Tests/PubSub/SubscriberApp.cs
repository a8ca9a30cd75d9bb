using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Mesh.Sidecar.Tests.PubSub;

/// <summary>One delivery as the app saw it.</summary>
internal sealed record Delivered(string Path, string ContentType, JsonElement Body, string TraceParent)
{
    public JsonElement Data => Body.GetProperty("data");

    public override string ToString() => $"{Path} {Body}";
}

/// <summary>An app that subscribes as given, keeps what it gets, and answers as told: nothing of an SDK in between.</summary>
internal sealed class SubscriberApp
{
    public Inbox<Delivered> Inbox { get; } = new();

    /// <summary>Body of <c>/dapr/subscribe</c>.</summary>
    public string Subscribe { get; set; } = "[]";

    /// <summary>Status and body of the answer to a delivery.</summary>
    public Func<Delivered, Task<(int Status, string Body)>> Answer { get; set; } = _ => Task.FromResult((200, ""));

    /// <summary>Whether the app's process dies over a delivery: the connection breaks off without an answer.</summary>
    public Func<Delivered, bool> Dies { get; set; } = _ => false;

    public static SubscriberApp To(params object[] subscriptions) => new() { Subscribe = Subscriptions.Json(subscriptions) };

    public SubscriberApp Answers(Func<Delivered, (int Status, string Body)> answer)
    {
        Answer = delivered => Task.FromResult(answer(delivered));
        return this;
    }

    public void Map(WebApplication app)
    {
        app.MapGet("/dapr/subscribe", () => Results.Text(Subscribe, "application/json"));
        app.MapPost("/{**path}", ReceiveAsync);
    }

    private async Task ReceiveAsync(HttpContext http)
    {
        using JsonDocument document = await JsonDocument.ParseAsync(http.Request.Body);
        var delivered = new Delivered(http.Request.Path, http.Request.ContentType ?? "", document.RootElement.Clone(), http.Request.Headers.TraceParent.ToString());
        if (Dies(delivered))
        {
            http.Abort();
            return;
        }

        (int status, string body) = await Answer(delivered);
        http.Response.StatusCode = status;
        if (body.Length > 0) await http.Response.WriteAsync(body);
        Inbox.Add(delivered);
    }
}
