using System.Text.Json;
using System.Text.Json.Nodes;
using Mesh.Contracts;

namespace Mesh.Gateway.Edge;

/// <summary>
/// The other services, as the gateway sees them: its process edge. Every call takes what is left of a budget and sends it
/// on. All throw <see cref="ServiceUnavailableException"/> where the service cannot be reached, is late or refuses, and
/// <see cref="OperationCanceledException"/> only where the caller's own token fired.
/// </summary>
internal interface IMeshServices
{
    Task<UserContext> GetContextAsync(string userId, long asOfMs, int eventsMax, TimeSpan budget, CancellationToken cancellation);

    Task<UserHistory> GetHistoryAsync(string userId, long? asOfMs, int limit, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Durable when it returns.</summary>
    Task ChangeProfileAsync(string userId, ProfileChange change, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Durable when it returns; of a user nobody knows, too.</summary>
    Task EraseUserAsync(string userId, TimeSpan budget, CancellationToken cancellation);

    Task LogRequestAsync(RequestLogEntry entry, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Of all shards; one that did not answer is named among the reports.</summary>
    Task<RetrieveResponse> RetrieveAsync(RetrieveRequest request, TimeSpan budget, CancellationToken cancellation);

    Task<HistoryResponse> FindHistoryAsync(HistoryRequest request, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Null where the index does not know the item.</summary>
    Task<SimilarResponse?> FindSimilarAsync(SimilarRequest request, TimeSpan budget, CancellationToken cancellation);

    Task<PrepareResponse> PrepareAsync(PrepareRequest request, TimeSpan budget, CancellationToken cancellation);

    Task<ScoreResponse> ScoreAsync(ScoreRequest request, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Null where index-updater does not know the item.</summary>
    Task<ItemRow?> GetItemAsync(string itemId, TimeSpan budget, CancellationToken cancellation);

    /// <param name="appId">One of <see cref="GatewayOptions.RetrievalApps"/>.</param>
    Task<RetrievalStatus> GetRetrievalStatusAsync(string appId, TimeSpan budget, CancellationToken cancellation);

    Task<RankerStatus> GetRankerStatusAsync(TimeSpan budget, CancellationToken cancellation);

    Task<UpdaterStatus> GetUpdaterStatusAsync(int shard, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Any JSON endpoint, whatever its status: <c>readyz</c> answers 503 with a body that says why.</summary>
    Task<(int Status, JsonElement? Body)> GetJsonAsync(string appId, string path, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Runs a pipeline stage that lives in another app: JSON in, JSON out (docs/api.md has the contract).</summary>
    Task<JsonNode?> InvokeStageAsync(string appId, string method, JsonNode request, TimeSpan budget, CancellationToken cancellation);

    /// <summary>Whether this gateway's own sidecar answers.</summary>
    Task<bool> IsSidecarHealthyAsync(CancellationToken cancellation);
}

/// <summary>The topics that the gateway publishes on. When a call returns, the broker holds the messages durably.</summary>
internal interface IEventTopics
{
    /// <summary>Publishes a batch; answers the indexes that the broker did not take, each with its reason.</summary>
    /// <exception cref="ServiceUnavailableException">None is known to be durable.</exception>
    Task<IReadOnlyDictionary<int, string>> PublishAsync<T>(
        string topic, IReadOnlyList<T> messages, TimeSpan budget, CancellationToken cancellation)
        where T : class, Google.Protobuf.IMessage<T>;
}

/// <summary>A service or the broker cannot be used now, or refused.</summary>
/// <param name="status">HTTP status that it answered with; 0 where it did not answer.</param>
internal sealed class ServiceUnavailableException(
    string message, int status = 0, bool late = false, Exception? inner = null) : Exception(message, inner)
{
    public int Status => status;

    /// <summary>Whether the budget ran out, as opposed to a failure.</summary>
    public bool IsLate => late;
}
