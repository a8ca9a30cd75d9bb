using Mesh.Contracts;
using Mesh.Simulator.Rest;

namespace Mesh.Simulator.Import;

/// <summary>How an import is cut into calls.</summary>
public sealed record ImportOptions
{
    /// <summary>Rows in one call, 1 to <see cref="Limits.BatchMax"/>. Default 500.</summary>
    public int BatchSize { get; init; } = 500;

    /// <summary>Calls in flight at once. Default 4.</summary>
    public int Concurrency { get; init; } = 4;
}

/// <summary>
/// Loads a data set through the public REST API. Rows are read no faster than calls are answered: at most
/// <see cref="ImportOptions.Concurrency"/> batches are in memory, so a slow gateway slows the reader (back-pressure).
/// </summary>
public sealed class Importer(FeedApi api, ImportOptions options, TimeProvider clock)
{
    /// <exception cref="FeedApiException">The gateway refused a call as such, or stayed away for too long.</exception>
    /// <exception cref="DataException">The data set cannot be read.</exception>
    public async Task<ImportSummary> RunAsync(IDataSet data, IImportProgress progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(progress);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.BatchSize, Limits.BatchMax);

        var summary = new ImportSummary();
        long started = clock.GetTimestamp();
        progress.Begin("items", data.ItemCount);
        await LoadAsync(data.Items(), summary.Items, progress, row => row.ItemId, api.PostItemsAsync, cancellation);
        progress.Begin("follows", data.FollowCount);
        await FollowAsync(data.Follows(), summary.Follows, progress, cancellation);
        progress.Begin("events", data.EventCount);
        await LoadAsync(
            data.Events(), summary.Events, progress, row => $"{row.UserId} {row.Action} {row.ItemId}", api.PostEventsAsync, cancellation);
        summary.Elapsed = clock.GetElapsedTime(started);
        summary.Retries = api.Retries;
        return summary;
    }

    private Task LoadAsync<T>(
        IEnumerable<T> rows, ImportCount count, IImportProgress progress, Func<T, string> name,
        Func<IReadOnlyList<T>, CancellationToken, Task<BatchAnswer>> send, CancellationToken cancellation) =>
        Parallel.ForEachAsync(rows.Chunk(options.BatchSize), Parallelism(cancellation), async (batch, cancelled) =>
        {
            BatchAnswer answer = await send(batch, cancelled);
            count.Add(answer.Accepted, [.. answer.Rejected.Select(row => $"{name(batch[row.Index])}: {row.Reason}")]);
            progress.Advance(batch.Length);
        });

    private Task FollowAsync(
        IEnumerable<FollowBody> follows, ImportCount count, IImportProgress progress, CancellationToken cancellation) =>
        Parallel.ForEachAsync(follows, Parallelism(cancellation), async (follow, cancelled) =>
        {
            string? refusal = await api.PutFollowAsync(follow, cancelled);
            count.Add(refusal is null ? 1 : 0, refusal is null ? [] : [$"{follow.UserId} follows {follow.AuthorId}: {refusal}"]);
            progress.Advance(1);
        });

    private ParallelOptions Parallelism(CancellationToken cancellation) =>
        new() { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancellation };
}
