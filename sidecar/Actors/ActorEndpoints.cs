using System.Globalization;
using System.Text.Json;
using Mesh.Sidecar.Invocation;
using Mesh.Sidecar.Runtime;
using Mesh.Sidecar.State;
using Microsoft.AspNetCore.Http.Features;

namespace Mesh.Sidecar.Actors;

/// <summary>The HTTP face of actors, <c>/v1.0/actors/{type}/{id}/...</c>.</summary>
internal sealed class ActorEndpoints(ActorRouter router, ActorState state, ActorHost? host, Reminders? reminders, Timers? timers, int bodyBytesMax)
{
    private static readonly string[] AnyVerb = ["GET", "POST", "PUT", "DELETE"];
    private static readonly string[] PostOrPut = ["POST", "PUT"];

    public void Map(IEndpointRouteBuilder routes)
    {
        RouteGroupBuilder actor = routes.MapGroup("/v1.0/actors/{type}/{id}");
        actor.MapMethods("/method/{name}", AnyVerb, InvokeAsync);
        actor.MapGet("/state/{key}", GetStateAsync);
        actor.MapMethods("/state", PostOrPut, SaveStateAsync);
        actor.MapMethods("/reminders/{name}", PostOrPut, CreateReminderAsync);
        actor.MapGet("/reminders/{name}", GetReminderAsync);
        actor.MapDelete("/reminders/{name}", DeleteReminderAsync);
        actor.MapMethods("/timers/{name}", PostOrPut, CreateTimerAsync);
        actor.MapDelete("/timers/{name}", DeleteTimer);
    }

    private async Task InvokeAsync(HttpContext context)
    {
        ActorKey actor = ActorOf(context);
        string path = $"{actor.AppPath}/method/{Uri.EscapeDataString(Name(context, "method"))}{context.Request.QueryString}";
        var request = new HttpRequestMessage(HttpMethod.Put, new Uri(path, UriKind.Relative));

        // Read in whole before the turn, so that a caller who sends slowly does not hold up the actor.
        byte[] body = await ReadBodyAsync(context);
        if (body.Length > 0) request.Content = new ReadOnlyMemoryContent(body);
        HeaderRules.CopyRequest(context.Request.Headers, request);
        try
        {
            using ActorAnswer answer = await router.InvokeAsync(actor, request, context.RequestAborted);
            HeaderRules.CopyResponse(answer.Response, context.Response.Headers);
            context.Response.ContentLength = answer.Body.Length;
            await context.Response.BodyWriter.WriteAsync(answer.Body, context.RequestAborted);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            context.Abort(); // the caller left; a turn that has begun goes on without it
        }
    }

    private async Task GetStateAsync(HttpContext context)
    {
        StateItem? item = await state.GetAsync(ActorOf(context), Segment(context, 5), context.RequestAborted);
        if (item is null || item.Value.IsEmpty)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        if (item.ExpiresAt is { } expires) context.Response.Headers["metadata.ttlExpireTime"] = expires.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = item.Value.Length;
        await context.Response.BodyWriter.WriteAsync(item.Value, context.RequestAborted);
    }

    private async Task SaveStateAsync(HttpContext context)
    {
        ActorKey actor = ActorOf(context);
        await state.WriteAsync(actor, state.Parse(actor, await ReadBodyAsync(context)), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task CreateReminderAsync(HttpContext context)
    {
        var key = new ReminderKey(ActorOf(context), Name(context, "reminder name"));
        ReminderRequest request = Parse(await ReadBodyAsync(context));
        await Hosted(key.Actor).CreateAsync(key, request, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task GetReminderAsync(HttpContext context)
    {
        var key = new ReminderKey(ActorOf(context), Name(context, "reminder name"));
        Reminder reminder = await Hosted(key.Actor).GetAsync(key, context.RequestAborted);
        context.Response.ContentType = "application/json";
        await using var writer = new Utf8JsonWriter(context.Response.BodyWriter);
        writer.WriteStartObject();
        writer.WriteString("actorID", key.Actor.Id);
        writer.WriteString("actorType", key.Actor.Type);
        if (!reminder.Data.IsEmpty)
        {
            writer.WritePropertyName("data");
            writer.WriteRawValue(reminder.Data.Span, skipInputValidation: true);
        }

        if (reminder.Schedule.DueTime.Length > 0) writer.WriteString("dueTime", reminder.Schedule.DueTime);
        if (reminder.Schedule.Period.Length > 0) writer.WriteString("period", reminder.Schedule.Period);
        if (reminder.Schedule.Expires is { } expires) writer.WriteString("ttl", Rfc3339(expires));
        writer.WriteEndObject();
    }

    private async Task DeleteReminderAsync(HttpContext context)
    {
        var key = new ReminderKey(ActorOf(context), Name(context, "reminder name"));
        await Hosted(key.Actor).DeleteAsync(key, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task CreateTimerAsync(HttpContext context)
    {
        var key = new ReminderKey(ActorOf(context), Name(context, "timer name"));
        ReminderRequest request = Parse(await ReadBodyAsync(context));
        (timers ?? throw NotHosted(key.Actor)).Create(key, request);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private Task DeleteTimer(HttpContext context)
    {
        timers?.Delete(new ReminderKey(ActorOf(context), Name(context, "timer name")));
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    /// <summary>RFC 3339 with as many digits as there are.</summary>
    internal static string Rfc3339(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture);

    internal static DaprApiException NotHosted(ActorKey actor) =>
        ActorErrors.TimerCreate($"can't create timer for actor {actor}: actor type not registered");

    private Reminders Hosted(ActorKey actor) => host is not null && host.IsHosted(actor.Type) ? reminders ?? throw ActorErrors.NoStateStore() : throw ActorErrors.ReminderNotHosted();

    private static ActorKey ActorOf(HttpContext context) => new(
        ActorKey.Checked("actorType", Segment(context, 2)), ActorKey.Checked("actorId", Segment(context, 3)));

    private static string Name(HttpContext context, string what) => ActorKey.Checked(what, Segment(context, 5));

    /// <summary>A part of the path as the caller meant it: the server leaves some escapes in its own form of the path, so this takes the raw one.</summary>
    private static string Segment(HttpContext context, int index)
    {
        ReadOnlySpan<char> raw = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (!raw.StartsWith("/v1.0/actors/", StringComparison.Ordinal)) return context.PathSegment(index); // the absolute form, or doubled slashes
        int query = raw.IndexOf('?');
        ReadOnlySpan<char> path = query < 0 ? raw[1..] : raw[1..query];
        for (int i = 0; i < index; i++) path = path[(path.IndexOf('/') + 1)..];

        int end = path.IndexOf('/');
        return Uri.UnescapeDataString(end < 0 ? path : path[..end]);
    }

    private static ReminderRequest Parse(byte[] body)
    {
        try
        {
            return ReminderRequest.Parse(body);
        }
        catch (JsonException error)
        {
            throw ActorErrors.Malformed(error.Message);
        }
    }

    private async Task<byte[]> ReadBodyAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (request.ContentLength > bodyBytesMax)
        {
            throw new BadHttpRequestException($"The body has {request.ContentLength} bytes, at most {bodyBytesMax} are taken.", StatusCodes.Status413PayloadTooLarge);
        }

        if (request.ContentLength is { } length)
        {
            byte[] body = length == 0 ? [] : new byte[length];
            await request.Body.ReadExactlyAsync(body, context.RequestAborted);
            return body;
        }

        using var buffer = new MemoryStream(); // chunked: Kestrel holds it to the same limit
        await request.Body.CopyToAsync(buffer, context.RequestAborted);
        return buffer.ToArray();
    }
}
