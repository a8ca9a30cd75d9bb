using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Preparations;

/// <summary>
/// Has the ranker encode the user's sequence while the sources still search: the index says what it knows of the items, and
/// the ranker keeps the encoded context under a name, which is all that scoring sends again. Reads nothing of the query
/// that a source changes.
/// </summary>
internal sealed class RankerContextPreparation(IMeshServices services, StageParams options) : IPreparation
{
    /// <summary>Items of one call, which is what retrieval takes. A model's history is shorter.</summary>
    private const int ItemsMax = 1_000;

    private readonly IReadOnlySet<string> _arms = options.Words("arms", "transformer");

    /// <summary>Not for nothing: a sequence that is being encoded would be sent once more.</summary>
    public TimeSpan Wait { get; } = TimeSpan.FromMilliseconds(options.Integer("wait_ms", 50, 0, 1_000));

    public bool IsHop => true;

    public bool OnlySavesTime => true;

    public bool IsEnabled(FeedQuery query) =>
        query.Context is { Version: > 0, Sequence.ItemIds.Count: > 0 } && _arms.Contains(query.Arms.GetValueOrDefault(FeedQuery.RankerFlag, ""));

    public async Task<Action<FeedQuery>> PrepareAsync(FeedQuery query, StageCall call)
    {
        UserContext context = query.Context;
        var items = new HistoryRequest { ItemIds = { context.Sequence.ItemIds.Reverse().Distinct(StringComparer.Ordinal).Take(ItemsMax) } };
        HistoryResponse history = await services.FindHistoryAsync(items, call.Budget, call.Cancellation);
        var request = new PrepareRequest
        {
            RequestId = query.RequestId, UserId = query.UserId, SequenceVersion = context.Version, Sequence = context.Sequence, ModelVersion = history.ModelVersion,
            History = { history.History },
        };
        PrepareResponse prepared = await services.PrepareAsync(request, call.Left, call.Cancellation);

        // No name: no model of the ranker can encode it, and the scorer finds out by itself.
        if (prepared.ContextId.Length == 0) return _ => { };
        int bytes = new ScoreRequest { Sequence = request.Sequence, History = { request.History } }.CalculateSize();
        return hydrated => hydrated.Prepared = new PreparedContext(prepared.ContextId, prepared.ModelVersion, bytes);
    }
}
