using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace Mesh.EndToEnd.Tests;

public sealed record ItemRow(string ItemId, string AuthorId, string Text, string[] Tags, long? CreatedAt = null, string? Language = null, long? DurationMs = null);

public sealed record EventRow(string EventId, string UserId, string ItemId, string Action, long Time, float? Value = null, string? RequestId = null);

public sealed record FeedItem(string ItemId, string AuthorId, double Score, string[] Sources, bool InNetwork, JsonElement? Explain);

public sealed record Degradation(string Stage, string Reason);

public sealed record Feed(
    string RequestId, FeedItem[] Items, string? NextCursor, Degradation[] Degraded, Dictionary<string, string> Arms, string ModelVersion, string IndexVersion,
    Dictionary<string, double> TimingsMs)
{
    public IEnumerable<string> ItemIds => Items.Select(item => item.ItemId);
}

public sealed record HistoryEvent(string EventId, string ItemId, string Action);

public sealed record History(HistoryEvent[] Events);

public sealed record Rejection(int Index, JsonElement Errors);

public sealed record BatchAnswer(int Accepted, Rejection[] Rejected);

/// <summary>The public REST API, as a client team would call it.</summary>
public sealed class MeshApi(HttpClient http)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };

    public HttpClient Http => http;

    public async Task PutItemAsync(ItemRow item) =>
        await ExpectAsync(http.PutAsJsonAsync($"/v1/items/{item.ItemId}", new { item.AuthorId, item.Text, item.Tags, item.CreatedAt, item.Language, item.DurationMs }, Json));

    public async Task<BatchAnswer> PostItemsAsync(IReadOnlyCollection<ItemRow> items) => await PostAsync("/v1/items", new { items });

    public async Task<BatchAnswer> PostEventsAsync(IReadOnlyCollection<EventRow> events) => await PostAsync("/v1/events", new { events });

    public async Task FollowAsync(string user, string author) => await ExpectAsync(http.PutAsync($"/v1/users/{user}/follows/{author}", null));

    public async Task MuteAsync(string user, string author) => await ExpectAsync(http.PutAsync($"/v1/users/{user}/mutes/{author}", null));

    public async Task BlockAsync(string user, string author) => await ExpectAsync(http.PutAsync($"/v1/users/{user}/blocks/{author}", null));

    public async Task MuteWordAsync(string user, string word) => await ExpectAsync(http.PutAsync($"/v1/users/{user}/muted-words/{Uri.EscapeDataString(word)}", null));

    public async Task EraseAsync(string user) => await ExpectAsync(http.DeleteAsync($"/v1/users/{user}"));

    public async Task DeleteItemAsync(string item) => await ExpectAsync(http.DeleteAsync($"/v1/items/{item}"));

    public async Task HideItemAsync(string item) => await ExpectAsync(http.PatchAsJsonAsync($"/v1/items/{item}/eligibility", new { hidden = true }, Json));

    public async Task<Feed> FeedAsync(string user, int limit = 30, bool explain = false, string? cursor = null) =>
        (await http.GetFromJsonAsync<Feed>($"/v1/users/{user}/feed?limit={limit}&explain={(explain ? "true" : "false")}{(cursor is null ? "" : $"&cursor={Uri.EscapeDataString(cursor)}")}", Json))!;

    public async Task<History> HistoryAsync(string user, int limit = 1000, long? asOf = null) =>
        (await http.GetFromJsonAsync<History>($"/v1/users/{user}/history?limit={limit}{(asOf is null ? "" : $"&asOf={asOf}")}", Json))!;

    public async Task<JsonElement> SystemAsync() => await http.GetFromJsonAsync<JsonElement>("/v1/system", Json);

    public async Task<bool> IsRetrievableAsync(string item)
    {
        using HttpResponseMessage response = await http.GetAsync($"/v1/items/{item}/similar?limit=1");
        return response.StatusCode == HttpStatusCode.OK;
    }

    private async Task<BatchAnswer> PostAsync(string path, object body)
    {
        using HttpResponseMessage response = await http.PostAsJsonAsync(path, body, Json);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"POST {path} answered {(int)response.StatusCode}: {text}");
        return JsonSerializer.Deserialize<BatchAnswer>(text, Json)!;
    }

    private static async Task ExpectAsync(Task<HttpResponseMessage> call)
    {
        using HttpResponseMessage response = await call;
        Assert.True(response.IsSuccessStatusCode,
            $"{response.RequestMessage!.Method} {response.RequestMessage.RequestUri!.PathAndQuery} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
    }
}
