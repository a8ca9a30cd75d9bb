using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Tests.Fakes;

/// <summary>
/// The other services in memory. Each call can be replaced; a service named in <see cref="Down"/> fails at once, one in
/// <see cref="Hanging"/> never answers and does not even watch its token, which is the worst a client library can do.
/// </summary>
internal sealed class FakeServices : IMeshServices
{
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _entered = new();

    public ConcurrentDictionary<string, bool> Down { get; } = new();

    public ConcurrentDictionary<string, bool> Hanging { get; } = new();

    /// <summary>A service answers once its task is complete.</summary>
    public ConcurrentDictionary<string, Task> Held { get; } = new();

    public ConcurrentDictionary<string, UserContext> Users { get; } = new();

    public ConcurrentQueue<(string UserId, ProfileChange Change)> ProfileChanges { get; } = new();

    public ConcurrentQueue<string> Erased { get; } = new();

    public ConcurrentQueue<RequestLogEntry> RequestLog { get; } = new();

    public ConcurrentQueue<RetrieveRequest> Retrieves { get; } = new();

    public ConcurrentQueue<ScoreRequest> Scores { get; } = new();

    public ConcurrentQueue<PrepareRequest> Prepares { get; } = new();

    public ConcurrentQueue<(string What, TimeSpan Budget)> Budgets { get; } = new();

    public List<Candidate> Catalogue { get; } = [];

    public SemaphoreSlim RequestLogged { get; } = new(0);

    public Func<RetrieveRequest, RetrieveResponse>? OnRetrieve { get; set; }

    public Func<ScoreRequest, ScoreResponse>? OnScore { get; set; }

    public Func<HistoryRequest, HistoryResponse>? OnHistory { get; set; }

    public Func<PrepareRequest, PrepareResponse>? OnPrepare { get; set; }

    public Func<string, RetrievalStatus>? OnRetrievalStatus { get; set; }

    public Func<int, UpdaterStatus>? OnUpdaterStatus { get; set; }

    /// <summary>Of the codes that retrieval answers with.</summary>
    public string ModelVersion { get; set; } = "mini-1";

    public string RankerVersion { get; set; } = "heuristic-1";

    public string NextModelVersion { get; set; } = "";

    public Func<string, string, JsonNode, JsonNode?>? OnInvokeStage { get; set; }

    public ServiceUnavailableException? ProfileRefusal { get; set; }

    /// <summary>Completes when a call to the service has begun.</summary>
    public Task EnteredAsync(string service) => Entered(service).Task.WaitAsync(TimeSpan.FromSeconds(20));

    public Task<UserContext> GetContextAsync(string userId, long asOfMs, int eventsMax, TimeSpan budget, CancellationToken cancellation) =>
        Answer(
            AppIds.SequenceStore, budget, () => Users.TryGetValue(userId, out UserContext? context) ? context.Clone() : new UserContext { UserId = userId });

    public Task<UserHistory> GetHistoryAsync(string userId, long? asOfMs, int limit, TimeSpan budget, CancellationToken cancellation) =>
        Answer(AppIds.SequenceStore, budget, () => new UserHistory
        {
            UserId = userId, EventsTotal = 7, Events = { new SequenceEvent { EventId = "e", ItemId = "i", Action = "like", TimeMs = asOfMs ?? 0, Value = limit } },
        });

    public Task ChangeProfileAsync(string userId, ProfileChange change, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.SequenceStore, budget, () =>
    {
        if (ProfileRefusal is { } refusal) throw refusal;
        ProfileChanges.Enqueue((userId, change));
        return true;
    });

    public Task EraseUserAsync(string userId, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.SequenceStore, budget, () =>
    {
        Erased.Enqueue(userId);
        return true;
    });

    public Task LogRequestAsync(RequestLogEntry entry, TimeSpan budget, CancellationToken cancellation) => Answer("request-log", budget, () =>
    {
        RequestLog.Enqueue(entry);
        RequestLogged.Release();
        return true;
    });

    public Task<RetrieveResponse> RetrieveAsync(RetrieveRequest request, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.Retrieval, budget, () =>
    {
        Retrieves.Enqueue(request);
        return OnRetrieve?.Invoke(request) ?? Respond(request);
    });

    public Task<HistoryResponse> FindHistoryAsync(HistoryRequest request, TimeSpan budget, CancellationToken cancellation) => Answer("history", budget, () =>
        OnHistory?.Invoke(request) ?? new HistoryResponse { ModelVersion = ModelVersion, History = { request.ItemIds.Select(HistoryOf) } });

    public Task<PrepareResponse> PrepareAsync(PrepareRequest request, TimeSpan budget, CancellationToken cancellation) => Answer("prepare", budget, () =>
    {
        Prepares.Enqueue(request);
        return OnPrepare?.Invoke(request) ?? new PrepareResponse { ContextId = $"ctx-{request.UserId}", ModelVersion = request.ModelVersion };
    });

    public Task<SimilarResponse?> FindSimilarAsync(SimilarRequest request, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.Retrieval, budget, () =>
        Catalogue.Any(candidate => candidate.ItemId == request.ItemId)
            ? new SimilarResponse { IndexVersion = "snap-1", Candidates = { Catalogue.Where(candidate => candidate.ItemId != request.ItemId).Take((int)request.Limit) } }
            : null);

    public Task<ScoreResponse> ScoreAsync(ScoreRequest request, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.Ranker, budget, () =>
    {
        Scores.Enqueue(request.Clone()); // as it was sent: the scorer may send it again with more
        return OnScore?.Invoke(request) ?? Score(request);
    });

    public Task<ItemRow?> GetItemAsync(string itemId, TimeSpan budget, CancellationToken cancellation) => Answer(AppIds.IndexUpdater, budget, () =>
        Catalogue.Any(candidate => candidate.ItemId == itemId) ? new ItemRow { Item = new Item { ItemId = itemId } } : null);

    public Task<RetrievalStatus> GetRetrievalStatusAsync(string appId, TimeSpan budget, CancellationToken cancellation) =>
        Answer(
            appId, budget, () => OnRetrievalStatus?.Invoke(appId) ?? new RetrievalStatus { Items = 12, Sequence = 40, HeadSequence = 41, IndexVersion = "snap-1", IndexBytes = 999, LastDeltaLagMs = 321, Ready = true, ModelVersion = ModelVersion });

    public Task<RankerStatus> GetRankerStatusAsync(TimeSpan budget, CancellationToken cancellation) =>
        Answer(AppIds.Ranker, budget, () => new RankerStatus { ModelVersion = RankerVersion, ModelVersions = { "mini-1", "mini-0" }, Arms = { "heuristic" } });

    public Task<UpdaterStatus> GetUpdaterStatusAsync(int shard, TimeSpan budget, CancellationToken cancellation) =>
        Answer(
            AppIds.IndexUpdater, budget, () => OnUpdaterStatus?.Invoke(shard) ?? new UpdaterStatus { HeadSequence = 43, Items = 12, SnapshotVersion = "snap-1", SnapshotSequence = 30, LastEventLagMs = 55, ModelVersion = ModelVersion, NextModelVersion = NextModelVersion });

    public Task<(int Status, JsonElement? Body)> GetJsonAsync(string appId, string path, TimeSpan budget, CancellationToken cancellation) => Answer(appId, budget, () =>
        (200, (JsonElement?)JsonSerializer.SerializeToElement(new { status = "Healthy", version = "1.2.3", lastEventLagMs = 77 })));

    public Task<JsonNode?> InvokeStageAsync(
        string appId, string method, JsonNode request, TimeSpan budget, CancellationToken cancellation) =>
        Answer(appId, budget, () => OnInvokeStage!(appId, method, request));

    public Task<bool> IsSidecarHealthyAsync(CancellationToken cancellation) => Task.FromResult(!Down.ContainsKey("sidecar"));

    /// <summary>A candidate as retrieval answers with it.</summary>
    public static Candidate Item(string itemId, string authorId, params string[] sources) => new()
    {
        ItemId = itemId, AuthorId = authorId, CreatedAtMs = 1_700_000_000_000, Similarity = 0.5f, Counters = new Counters { Counts = { Enumerable.Repeat(1f, 15) }, AsOfMs = 1 },
        Eligibility = new Eligibility(), Codes = { 1, 2, 3 }, Sources = { sources.Length == 0 ? ["trending"] : sources },
    };

    /// <summary>Every candidate a score that falls with its place: the order of the catalogue is the order of the feed.</summary>
    public static ScoreResponse Score(ScoreRequest request)
    {
        var response = new ScoreResponse { ModelVersion = "heuristic-1", Arm = request.Arm, Weights = { ActionTaxonomy.Default.DefaultWeights } };
        for (int i = 0; i < request.Candidates.Count; i++)
        {
            response.Scores.Add(
                new CandidateScore { ItemId = request.Candidates[i].ItemId, Score = 1 - (i * 0.001f), Probabilities = { Enumerable.Repeat(0.1f, 14) } });
        }

        return response;
    }

    private static HistoryItem HistoryOf(string itemId) => new() { ItemId = itemId, AuthorId = "author", Codes = { 1, 2, 3 } };

    private RetrieveResponse Respond(RetrieveRequest request)
    {
        var exclude = request.Exclude.ToHashSet();
        return new RetrieveResponse
        {
            IndexVersion = "snap-1", Sequence = 40, CounterHalfLifeHours = 24, ModelVersion = ModelVersion, History = { request.Sequence?.ItemIds.Select(HistoryOf) ?? [] },
            Candidates = { Catalogue.Where(candidate => !exclude.Contains(ItemHash.Compute(candidate.ItemId))).Select(candidate => candidate.Clone()) },
        };
    }

    private async Task<T> Answer<T>(string service, TimeSpan budget, Func<T> answer)
    {
        Budgets.Enqueue((service, budget));
        Entered(service).TrySetResult();
        if (Hanging.ContainsKey(service)) await new TaskCompletionSource().Task;
        if (Held.TryGetValue(service, out Task? held)) await held;
        if (Down.ContainsKey(service)) throw new ServiceUnavailableException($"{service} cannot be reached.");
        await Task.Yield(); // a real call never completes on the caller's stack
        return answer();
    }

    private TaskCompletionSource Entered(string service) =>
        _entered.GetOrAdd(service, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
}
