using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Mesh.Simulator.Tests;

/// <summary>
/// The public API of a mesh as a closed loop uses it, in this process: items, follows, events that take a while until they are in
/// the log, and feeds that a test ranks. It notes what a loop must never do.
/// </summary>
internal sealed class FakeMesh : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, string> _authorOfItem = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, ConcurrentQueue<JsonElement>> _events = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int> _polls = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, HashSet<string>> _served = new(StringComparer.Ordinal);
    private WebApplication? _web;
    private volatile bool _hadItems;

    /// <summary>The arm that an id is in.</summary>
    public required Func<string, string> ArmOf { get; init; }

    /// <summary>Higher comes first on the page of a user in an arm.</summary>
    public required Func<string, string, string, double> Rank { get; init; }

    /// <summary>The arm that scored the page of a user in an arm.</summary>
    public Func<string, string, string> ScoredBy { get; init; } = (_, arm) => arm;

    public string[] RankerArms { get; init; } = ["good", "bad"];

    /// <summary>How often the log is asked for before it holds what was accepted; -1 = it never does.</summary>
    public int PollsUntilIn { get; init; } = 2;

    /// <summary>An item on every page that no world holds.</summary>
    public string? Stranger { get; init; }

    /// <summary>Feeds asked for before the user's events were in.</summary>
    public int TooEarly { get; private set; }

    /// <summary>Users whose arm was asked for after an item had come: a page then counts as impressions.</summary>
    public int LateProbes { get; private set; }

    public ConcurrentQueue<(string User, string List, string Author)> Profile { get; } = new();

    public ConcurrentDictionary<string, string> UserOfRequest { get; } = new(StringComparer.Ordinal);

    public IEnumerable<JsonElement> Events => _events.Values.SelectMany(events => events);

    public int Items => _authorOfItem.Count;

    public Uri Url { get; private set; } = new("http://127.0.0.1:0");

    public async Task StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Url.ToString());
        _web = builder.Build();
        _web.MapGet("/v1/system", System);
        _web.MapGet("/v1/users/{user}/feed", Feed);
        _web.MapGet("/v1/users/{user}/history", (string user) => new { eventsTotal = InLog(user) });
        _web.MapPut("/v1/users/{user}/{list}/{author}", (string user, string list, string author) => Profile.Enqueue((user, list, author)));
        _web.MapDelete("/v1/items/{id}", (string id) => { _authorOfItem.TryRemove(id, out _); });
        _web.MapPost("/v1/items", (JsonElement body) => Accept(body, "items", AcceptItem));
        _web.MapPost("/v1/events", (JsonElement body) => Accept(body, "events", AcceptEvent));
        await _web.StartAsync();
        Url = new Uri(_web.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public async ValueTask DisposeAsync()
    {
        if (_web is not null) await _web.DisposeAsync();
    }

    private object System() => new { index = new { items = _authorOfItem.Count }, eventLag = new { deltas = 0 }, rankerArms = RankerArms, modelVersion = "mini-1" };

    private object Feed(string user, int limit, string surface, string? cursor, bool explain = false)
    {
        bool isProbe = surface == "probe";
        if (isProbe && _hadItems) LateProbes++;
        if (_events.TryGetValue(user, out ConcurrentQueue<JsonElement>? events) && InLogNow(user) < events.Count) TooEarly++;
        string arm = ArmOf(user), request = Ulid.NewUlid().ToString();
        HashSet<string> served = cursor is null ? _served[user] = new HashSet<string>(StringComparer.Ordinal) : _served[user];
        string[] page = [.. _authorOfItem.Keys.Except(served).OrderByDescending(item => Rank(user, arm, item)).ThenBy(item => item, StringComparer.Ordinal).Take(limit)];
        if (Stranger is not null && !isProbe) page = [Stranger, .. page.Take(limit - 1)];
        served.UnionWith(page);
        UserOfRequest[request] = user;
        string scoredBy = ScoredBy(user, arm);
        return new { ranking = explain ? new { askedArm = arm, arm = scoredBy } : null, requestId = request, items = page.Select(itemId => new { itemId }), nextCursor = "more", degraded = Array.Empty<object>(), arms = new { ranker = scoredBy }, modelVersion = scoredBy == "good" ? "mini-1" : "heuristic-1" };
    }

    private IResult Accept(JsonElement body, string name, Action<JsonElement> accept)
    {
        JsonElement[] rows = [.. body.GetProperty(name).EnumerateArray()];
        foreach (JsonElement row in rows) accept(row);
        return Results.Json(new { accepted = rows.Length, rejected = Array.Empty<object>() }, statusCode: StatusCodes.Status202Accepted);
    }

    private void AcceptItem(JsonElement row)
    {
        _hadItems = true;
        _authorOfItem[row.GetProperty("itemId").GetString()!] = row.GetProperty("authorId").GetString()!;
    }

    private void AcceptEvent(JsonElement row)
    {
        string user = row.GetProperty("userId").GetString()!;
        _polls[user] = 0;
        _events.GetOrAdd(user, _ => new()).Enqueue(row.Clone());
    }

    private int InLog(string user)
    {
        _polls.AddOrUpdate(user, 1, (_, polls) => polls + 1);
        return InLogNow(user);
    }

    private int InLogNow(string user) => PollsUntilIn >= 0 && _polls.GetValueOrDefault(user) >= PollsUntilIn ? _events[user].Count : 0;
}
