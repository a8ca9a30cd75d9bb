using Mesh.Contracts;
using Mesh.Inference;
using Mesh.Retrieval.Index;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval.Sources;

/// <summary>
/// Query vectors of one user for one index, once per request: by the index's own user tower over the history with the index's own
/// codes. Means of the history take its place where there is no tower, where it is late or fails, and where the index knows
/// nothing of the history.
/// </summary>
internal sealed class QueryMaker(RetrievalMetrics metrics, TimeProvider clock, IOptions<RetrievalOptions> options, ILogger<QueryMaker> logger)
{
    private readonly TimeSpan _timeout = TimeSpan.FromMilliseconds(options.Value.TowerTimeoutMs);

    /// <param name="index">Leased by the caller.</param>
    /// <param name="history">The items of the sequence that the index knows, as the index has them.</param>
    public async Task<QueryVectors> MakeAsync(
        LiveIndex index, Sequence? sequence, IReadOnlyList<HistoryItem> history, UserInterest interest, CancellationToken deadline)
    {
        if (index.Tower is not { } tower || history.Count == 0) return interest.Means;

        long started = clock.GetTimestamp();
        using var late = new CancellationTokenSource(_timeout, clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(late.Token, deadline);
        try
        {
            var items = history.ToDictionary(item => item.ItemId, StringComparer.Ordinal);
            float[] vectors = await tower.EncodeAsync(sequence, items, linked.Token);
            metrics.TowerAsked(clock.GetElapsedTime(started));
            return new QueryVectors(vectors, tower.Dimensions);
        }
        catch (OperationCanceledException) when (linked.IsCancellationRequested)
        {
            metrics.TowerFellBack("late");
        }
#pragma warning disable CA1031 // A tower that breaks must not take the feed away: it is logged and counted.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            metrics.TowerFellBack("failed");
            Log.TowerFailed(logger, index.ModelVersion, exception);
        }

        return interest.Means;
    }
}
