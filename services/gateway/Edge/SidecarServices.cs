using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dapr.Client;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Gateway.Shards;
using Mesh.Hosting;

namespace Mesh.Gateway.Edge;

/// <summary>The services through this gateway's sidecar.</summary>
internal sealed class SidecarServices(ServiceInvoker invoker, DaprClient dapr, ShardedRetrieval retrieval) : IMeshServices
{
    public Task<UserContext> GetContextAsync(string userId, long asOfMs, int eventsMax, TimeSpan budget, CancellationToken cancellation) =>
        GetAsync<UserContext>(
            AppIds.SequenceStore, Invariant($"users/{userId}/context?asOf={asOfMs}&maxEvents={eventsMax}"), budget, cancellation);

    public Task<UserHistory> GetHistoryAsync(string userId, long? asOfMs, int limit, TimeSpan budget, CancellationToken cancellation) =>
        GetAsync<UserHistory>(
            AppIds.SequenceStore,
            asOfMs is { } asOf
                ? Invariant($"users/{userId}/history?asOf={asOf}&limit={limit}")
                : Invariant($"users/{userId}/history?limit={limit}"),
            budget, cancellation);

    public Task ChangeProfileAsync(string userId, ProfileChange change, TimeSpan budget, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Post, AppIds.SequenceStore, $"users/{userId}/profile", budget, cancellation, change);

    public Task EraseUserAsync(string userId, TimeSpan budget, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Delete, AppIds.SequenceStore, $"users/{userId}", budget, cancellation);

    public Task LogRequestAsync(RequestLogEntry entry, TimeSpan budget, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Post, AppIds.SequenceStore, "requests", budget, cancellation, entry);

    public Task<RetrieveResponse> RetrieveAsync(RetrieveRequest request, TimeSpan budget, CancellationToken cancellation) =>
        retrieval.RetrieveAsync(request, budget, cancellation);

    public Task<HistoryResponse> FindHistoryAsync(HistoryRequest request, TimeSpan budget, CancellationToken cancellation) =>
        retrieval.FindHistoryAsync(request, budget, cancellation);

    public Task<SimilarResponse?> FindSimilarAsync(SimilarRequest request, TimeSpan budget, CancellationToken cancellation) =>
        retrieval.FindSimilarAsync(request, budget, cancellation);

    public Task<PrepareResponse> PrepareAsync(PrepareRequest request, TimeSpan budget, CancellationToken cancellation) =>
        PostAsync<PrepareRequest, PrepareResponse>(AppIds.Ranker, "prepare", request, budget, cancellation);

    public Task<ScoreResponse> ScoreAsync(ScoreRequest request, TimeSpan budget, CancellationToken cancellation) =>
        PostAsync<ScoreRequest, ScoreResponse>(AppIds.Ranker, "score", request, budget, cancellation);

    public Task<ItemRow?> GetItemAsync(string itemId, TimeSpan budget, CancellationToken cancellation) =>
        NullWhereUnknown(GetAsync<ItemRow>(AppIds.IndexUpdater, $"items/{itemId}", budget, cancellation));

    public Task<RetrievalStatus> GetRetrievalStatusAsync(string appId, TimeSpan budget, CancellationToken cancellation) =>
        GetAsync<RetrievalStatus>(appId, "status", budget, cancellation);

    public Task<RankerStatus> GetRankerStatusAsync(TimeSpan budget, CancellationToken cancellation) =>
        GetAsync<RankerStatus>(AppIds.Ranker, "status", budget, cancellation);

    public Task<UpdaterStatus> GetUpdaterStatusAsync(int shard, TimeSpan budget, CancellationToken cancellation) =>
        GetAsync<UpdaterStatus>(AppIds.IndexUpdater, Invariant($"status?shard={shard}"), budget, cancellation);

    public Task<(int Status, JsonElement? Body)> GetJsonAsync(string appId, string path, TimeSpan budget, CancellationToken cancellation) =>
        CallJsonAsync(appId, HttpMethod.Get, path, null, budget, cancellation);

    public async Task<JsonNode?> InvokeStageAsync(
        string appId, string method, JsonNode request, TimeSpan budget, CancellationToken cancellation)
    {
        (int status, JsonElement? body) = await CallJsonAsync(appId, HttpMethod.Post, method, request, budget, cancellation);
        if (status is < 200 or > 299)
        {
            string reason = RefusalReason.Of(body?.GetRawText() ?? "");
            throw new ServiceUnavailableException($"{Operation(appId, method)} answered {status}{reason}", status);
        }

        return body is { ValueKind: JsonValueKind.Object } answer
            ? JsonObject.Create(answer)
            : throw new ServiceUnavailableException($"{Operation(appId, method)} did not answer with a JSON object.", status);
    }

    public Task<bool> IsSidecarHealthyAsync(CancellationToken cancellation) => dapr.CheckOutboundHealthAsync(cancellation);

    private Task<T> GetAsync<T>(string appId, string path, TimeSpan budget, CancellationToken cancellation) where T : IMessage<T>, new() =>
        Guard(appId, path, invoker.GetAsync<T>(appId, path, budget, cancellation), cancellation);

    private Task<TResponse> PostAsync<TRequest, TResponse>(
        string appId, string path, TRequest message, TimeSpan budget, CancellationToken cancellation)
        where TRequest : IMessage<TRequest> where TResponse : IMessage<TResponse>, new() =>
        Guard(appId, path, invoker.PostAsync<TRequest, TResponse>(appId, path, message, budget, cancellation), cancellation);

    private Task<bool> SendAsync(
        HttpMethod method, string appId, string path, TimeSpan budget, CancellationToken cancellation, IMessage? message = null)
    {
        return Guard(appId, path, Send(), cancellation);

        async Task<bool> Send()
        {
            await invoker.SendAsync(method, appId, path, budget, cancellation, message);
            return true;
        }
    }

    private async Task<(int Status, JsonElement? Body)> CallJsonAsync(
        string appId, HttpMethod method, string path, JsonNode? body, TimeSpan budget, CancellationToken cancellation)
    {
        HttpClient client = invoker.ClientOf(appId);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(budget);
        return await Guard(appId, path, Call(), cancellation);

        async Task<(int, JsonElement?)> Call()
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.Add(Deadline.Header, ((int)budget.TotalMilliseconds).ToString(CultureInfo.InvariantCulture));
            if (body is not null) request.Content = JsonContent.Create(body);
            using HttpResponseMessage response = await client.SendAsync(request, timeout.Token);
            bool isJson = response.Content.Headers.ContentType?.MediaType?.EndsWith("json", StringComparison.OrdinalIgnoreCase) == true;
            JsonElement? answer = isJson ? await response.Content.ReadFromJsonAsync<JsonElement>(timeout.Token) : null;
            return ((int)response.StatusCode, answer);
        }
    }

    /// <summary>One exception type for everything that a service out of reach can cause.</summary>
    internal static async Task<T> Guard<T>(string appId, string path, Task<T> call, CancellationToken cancellation)
    {
        string what = Operation(appId, path);
        try
        {
            return await call;
        }
        catch (ServiceCallException refused)
        {
            bool late = refused.Status == StatusCodes.Status504GatewayTimeout;
            string reason = RefusalReason.Of(refused.Message);
            throw new ServiceUnavailableException($"{what} answered {refused.Status}{reason}", refused.Status, late, refused);
        }
        catch (OperationCanceledException timeout) when (!cancellation.IsCancellationRequested)
        {
            throw new ServiceUnavailableException($"{what} did not answer in time.", late: true, inner: timeout);
        }
        catch (Exception failure) when (failure is HttpRequestException or InvalidProtocolBufferException or JsonException or IOException)
        {
            throw new ServiceUnavailableException($"{what} failed: {failure.Message}", inner: failure);
        }
    }

    /// <summary>What was called, without the ids in its path: the text goes to logs and to other users' operators.</summary>
    internal static string Operation(string appId, string path)
    {
        string[] parts = path.Split('?')[0].Split('/');
        return $"{appId} ({(parts is ["users", _] ? "user" : parts is ["items", _] ? "item" : parts[^1])})";
    }

    internal static async Task<T?> NullWhereUnknown<T>(Task<T> call) where T : class
    {
        try
        {
            return await call;
        }
        catch (ServiceUnavailableException refused) when (refused.Status == StatusCodes.Status404NotFound)
        {
            return null;
        }
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
