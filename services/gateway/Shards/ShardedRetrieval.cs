using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Shards;

/// <summary>
/// The index as one, whose shards are held by the apps of <see cref="GatewayOptions.RetrievalApps"/>: an item is in the shard
/// <c>ItemHash.Compute(id) % shards</c>. One app is asked as it is. Several are asked at once, and their answers merged; one that fails or is late
/// costs the answer its items, which the answer says, and nothing else.
/// A shard knows only its own items of a user's history, so what all of them know is gathered first and sent along: each then
/// searches with the same query vectors and prefixes, as one index would.
/// </summary>
internal sealed class ShardedRetrieval(
    IRetrievalApps retrieval, StageHealth health, GatewayMetrics metrics, TimeProvider clock, IOptions<GatewayOptions> options)
{
    /// <summary>Items of one history call, which is what retrieval takes.</summary>
    private const int HistoryMax = 4_096;

    // Of the budget: gathering the history is a look-up in memory. A shard that takes longer than that while others answer is not asked
    // again: one that hangs would cost every page all of the stage's time.
    private const double HistoryShare = 0.25;

    // Kept back for the merge, so that a shard that hangs cannot make the whole source late.
    private static readonly TimeSpan MergeReserve = TimeSpan.FromMilliseconds(20);
    private const double MergeReserveShare = 0.1;

    private readonly IReadOnlyList<string> _apps = options.Value.RetrievalApps;
    private readonly ShardCalls _calls = new(options.Value.RetrievalApps, metrics, clock);

    private IEnumerable<int> All => Enumerable.Range(0, _apps.Count);

    /// <summary>A shard that the answer is without is a report of the app's name, with the reason as its error.</summary>
    /// <exception cref="ServiceUnavailableException">No shard answered.</exception>
    public async Task<RetrieveResponse> RetrieveAsync(RetrieveRequest request, TimeSpan budget, CancellationToken cancellation)
    {
        if (_apps.Count == 1)
        {
            RetrieveResponse only = await retrieval.RetrieveAsync(_apps[0], request, budget, cancellation);
            only.Sources.AddRange(Reports([], Misplaced([new ShardAnswer<RetrieveResponse>(0, _apps[0], only)])));
            return only;
        }

        long started = clock.GetTimestamp();
        var leftOut = new List<LeftOut>();
        IEnumerable<int> asked = All;
        if (request.Sequence is { ItemIds.Count: > 0 } sequence)
        {
            ShardAnswers<HistoryResponse> known = await GatherAsync([.. Newest(sequence.ItemIds)], forShards: true, budget, cancellation);
            (string version, List<ShardAnswer<HistoryResponse>> fitting, _) = ShardMerge.OneVersion(known.Answers, static answer => answer.ModelVersion);
            request = request.Clone();
            request.HistoryModelVersion = version;
            request.History.AddRange(fitting.SelectMany(static answer => answer.Value.History));
            if (known.Answers.Count > 0)
            {
                asked = [.. known.Answers.Select(static answer => answer.Shard)];
                leftOut.AddRange(known.LeftOut);
            }
        }

        TimeSpan left = budget - clock.GetElapsedTime(started);
        ShardAnswers<RetrieveResponse> found = await _calls.AskAsync(
            asked, (app, time, token) => retrieval.RetrieveAsync(app, request, time, token), left - Reserve(left), cancellation);
        found.LeftOut.AddRange(leftOut);
        if (found.Answers.Count == 0) Judge(found.LeftOut, []);
        found.ThrowIfNone();

        (string served, List<ShardAnswer<RetrieveResponse>> answers, List<ShardAnswer<RetrieveResponse>> others) =
            ShardMerge.OneVersion(found.Answers, static answer => answer.ModelVersion);
        found.LeftOut.AddRange(others.Select(other => _calls.Leave(
            other.AppId, "model", $"its index is of model {other.Value.ModelVersion}, the page of {served}; shards go over to a model one after the other")));
        Judge(found.LeftOut, answers);
        RetrieveResponse merged = ShardMerge.Retrieved(request, answers);
        merged.Sources.AddRange(Reports(found.LeftOut, Misplaced(found.Answers)));
        return merged;
    }

    /// <summary>What is known of items, by all shards of one model version that answer.</summary>
    /// <exception cref="ServiceUnavailableException">No shard answered.</exception>
    public async Task<HistoryResponse> FindHistoryAsync(HistoryRequest request, TimeSpan budget, CancellationToken cancellation)
    {
        if (_apps.Count == 1) return await retrieval.FindHistoryAsync(_apps[0], request, budget, cancellation);

        ShardAnswers<HistoryResponse> known = await GatherAsync(request.ItemIds, forShards: false, budget, cancellation);
        known.ThrowIfNone();
        (string version, List<ShardAnswer<HistoryResponse>> fitting, _) = ShardMerge.OneVersion(known.Answers, static answer => answer.ModelVersion);
        return new HistoryResponse
        {
            ModelVersion = version, IndexVersion = fitting[0].Value.IndexVersion, History = { ShardMerge.History(request.ItemIds, fitting.SelectMany(static answer => answer.Value.History)) },
        };
    }

    /// <summary>
    /// Asks the item's own shard first, whose answer has the item's embedding, and the others with it. Null where its shard does not know the item.
    /// </summary>
    /// <exception cref="ServiceUnavailableException">The item's shard cannot be asked.</exception>
    public async Task<SimilarResponse?> FindSimilarAsync(SimilarRequest request, TimeSpan budget, CancellationToken cancellation)
    {
        long started = clock.GetTimestamp();
        int own = (int)(ItemHash.Compute(request.ItemId) % (uint)_apps.Count);
        SimilarResponse? nearest = await retrieval.FindSimilarAsync(_apps[own], request, budget, cancellation);
        if (nearest is null || _apps.Count == 1 || nearest.Embedding.IsEmpty) return nearest;

        var elsewhere = new SimilarRequest { ItemId = request.ItemId, Limit = request.Limit, Embedding = nearest.Embedding, ModelVersion = nearest.ModelVersion };
        TimeSpan left = budget - clock.GetElapsedTime(started);
        ShardAnswers<SimilarResponse?> others = await _calls.AskAsync(
            All.Where(shard => shard != own), (app, time, token) => retrieval.FindSimilarAsync(app, elsewhere, time, token), left - Reserve(left), cancellation);
        return ShardMerge.Similar(
            request,
            [
                new ShardAnswer<SimilarResponse>(own, _apps[own], nearest),
                .. others.Answers.Where(static answer => answer.Value is not null).Select(static answer => new ShardAnswer<SimilarResponse>(answer.Shard, answer.AppId, answer.Value!)),
            ]);
    }

    private Task<ShardAnswers<HistoryResponse>> GatherAsync(IEnumerable<string> itemIds, bool forShards, TimeSpan budget, CancellationToken cancellation)
    {
        var history = new HistoryRequest { ItemIds = { itemIds }, ForShards = forShards };
        return _calls.AskAsync(All, (app, time, token) => retrieval.FindHistoryAsync(app, history, time, token), HistoryShare * budget, cancellation);
    }

    // To the log, once per outage. By what became of a page's search alone: a shard that is quick with histories and late with
    // searches, or of another model for a while, would else fail and work again with every page.
    private void Judge(IEnumerable<LeftOut> leftOut, IEnumerable<ShardAnswer<RetrieveResponse>> served)
    {
        foreach (LeftOut shard in leftOut) health.Failed($"retrieval/{shard.AppId}", shard.Reason, null);
        foreach (ShardAnswer<RetrieveResponse> shard in served) health.Succeeded($"retrieval/{shard.AppId}");
    }

    private static IEnumerable<string> Newest(IEnumerable<string> itemIds) => itemIds.Reverse().Distinct(StringComparer.Ordinal).Take(HistoryMax);

    private static TimeSpan Reserve(TimeSpan left) => MergeReserveShare * left < MergeReserve ? MergeReserveShare * left : MergeReserve;

    // Apps that hold another shard than their place says, or another number of shards than there are apps. What they hold is served; what
    // nobody holds is missing, and the page says so.
    private IEnumerable<(string AppId, string Fault)> Misplaced(IEnumerable<ShardAnswer<RetrieveResponse>> answers)
    {
        foreach (ShardAnswer<RetrieveResponse> answer in answers)
        {
            if (Topology.FaultOf(answer.Shard, _apps.Count, answer.Value.Shard, answer.Value.Shards) is { } fault) yield return (answer.AppId, fault);
        }
    }

    private static IEnumerable<SourceReport> Reports(IEnumerable<LeftOut> leftOut, IEnumerable<(string AppId, string Fault)> misplaced) =>
    [
        .. leftOut.Select(static shard => new SourceReport { Name = shard.AppId, Error = shard.Reason }),
        .. misplaced.Select(static shard => new SourceReport { Name = shard.AppId, Error = shard.Fault }),
    ];
}
