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
    // A tower that fails does so at every request.
    private static readonly TimeSpan LogEvery = TimeSpan.FromSeconds(10);

    private readonly TimeSpan _timeout = TimeSpan.FromMilliseconds(options.Value.TowerTimeoutMs);
    private long _loggedAt = long.MinValue; // timestamp; written by whichever request logs

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
            if (MayLog()) Log.TowerFailed(logger, index.ModelVersion, exception);
        }

        return interest.Means;
    }

    private bool MayLog()
    {
        long now = clock.GetTimestamp(), last = Volatile.Read(ref _loggedAt);
        return (last == long.MinValue || clock.GetElapsedTime(last, now) >= LogEvery) && Interlocked.CompareExchange(ref _loggedAt, now, last) == last;
    }
}
