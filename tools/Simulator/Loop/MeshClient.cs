using System.Text.Json;
using Mesh.Simulator.Import;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Loop;

/// <summary>One page of a feed, as far as a loop cares.</summary>
internal sealed record FeedPage(string RequestId, IReadOnlyList<string> ItemIds, string? NextCursor, string Arm, string ModelVersion, IReadOnlyList<string> Degraded);

/// <summary>What the index holds and what the ranker can do.</summary>
internal sealed record MeshState(long Items, long DeltasBehind, IReadOnlyList<string> RankerArms, string ModelVersion);

/// <summary>The reading side of the public REST API, and the waits for the mesh to know what it was told. All waits ask the API.</summary>
internal sealed class MeshClient(FeedApi api, TimeProvider clock, TimeSpan patience)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(250);

    public async Task<FeedPage> FeedAsync(string userId, int limit, string surface, string? cursor, CancellationToken cancellation)
    {
        string path = $"v1/users/{Uri.EscapeDataString(userId)}/feed?limit={limit}&surface={surface}{(cursor is null ? "" : $"&cursor={cursor}")}";
        JsonElement page = await api.GetAsync(path, cancellation);
        return new FeedPage(
            page.GetProperty("requestId").GetString()!, [.. page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("itemId").GetString()!)],
            Text(page, "nextCursor"), page.GetProperty("arms").TryGetProperty("ranker", out JsonElement arm) ? arm.GetString() ?? "" : "", Text(page, "modelVersion") ?? "",
            [.. page.GetProperty("degraded").EnumerateArray().Select(stage => $"{Text(stage, "stage")}: {Text(stage, "reason")}")]);
    }

    /// <summary>The arm of the flag ranker that a user is in, whichever arm scored the page that tells it.</summary>
    public async Task<string> ArmOfAsync(string userId, CancellationToken cancellation)
    {
        JsonElement page = await api.GetAsync($"v1/users/{Uri.EscapeDataString(userId)}/feed?limit=1&surface=probe&explain=true", cancellation);
        return Text(page.GetProperty("ranking"), "askedArm") ?? "";
    }

    public async Task<MeshState> StateAsync(CancellationToken cancellation)
    {
        JsonElement system = await api.GetAsync("v1/system", cancellation);
        bool known = system.TryGetProperty("index", out JsonElement index) && index.ValueKind is JsonValueKind.Object;
        JsonElement behind = system.GetProperty("eventLag").GetProperty("deltas");
        return new MeshState(
            known ? index.GetProperty("items").GetInt64() : -1, behind.ValueKind is JsonValueKind.Number ? behind.GetInt64() : -1,
            [.. system.GetProperty("rankerArms").EnumerateArray().Select(arm => arm.GetString()!)], Text(system, "modelVersion") ?? "");
    }

    /// <summary>Returns when retrieval holds so many items and has applied every delta.</summary>
    public Task UntilIndexHoldsAsync(long items, CancellationToken cancellation) => UntilAsync(
        async () => await StateAsync(cancellation), state => state.Items == items && state.DeltasBehind == 0,
        state => $"The index should hold {items:N0} items; it holds {state.Items:N0}, {state.DeltasBehind} deltas behind", cancellation);

    /// <summary>Returns when a user's log holds so many events.</summary>
    public Task UntilLogHoldsAsync(string userId, long events, CancellationToken cancellation) => events == 0 ? Task.CompletedTask : UntilAsync(
        async () => (await api.GetAsync($"v1/users/{Uri.EscapeDataString(userId)}/history?limit=1", cancellation)).GetProperty("eventsTotal").GetInt64(), total => total >= events,
        total => $"The log of {userId} should hold {events} events; it holds {total}", cancellation);

    private async Task UntilAsync<T>(Func<Task<T>> ask, Func<T, bool> isEnough, Func<T, string> describe, CancellationToken cancellation)
    {
        long started = clock.GetTimestamp();
        TimeSpan pause = FirstPause;
        for (T answer = await ask(); !isEnough(answer); answer = await ask())
        {
            if (clock.GetElapsedTime(started) > patience) throw new FeedApiException($"{describe(answer)} after {patience.TotalSeconds:0} s.");
            await Task.Delay(pause, clock, cancellation);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;
}
