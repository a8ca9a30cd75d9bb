using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Shards;

/// <summary>A shard that an answer is without, and why.</summary>
/// <param name="Kind">late, failed or model: a small set, for the metric.</param>
internal sealed record LeftOut(string AppId, string Kind, string Reason);

/// <summary>What the shards answered; in the order of their numbers.</summary>
internal sealed record ShardAnswers<T>(List<ShardAnswer<T>> Answers, List<LeftOut> LeftOut)
{
    /// <exception cref="ServiceUnavailableException">No shard answered.</exception>
    public void ThrowIfNone()
    {
        if (Answers.Count > 0) return;
        throw new ServiceUnavailableException(
            $"No shard of the index answered: {string.Join("; ", LeftOut.Select(static shard => shard.Reason))}", late: LeftOut.All(static shard => shard.Kind == "late"));
    }
}

/// <summary>
/// Asks several apps of retrieval at once, for a time. Who fails or is late is left out, named and counted.
/// </summary>
internal sealed class ShardCalls(IReadOnlyList<string> apps, GatewayMetrics metrics, TimeProvider clock)
{
    public async Task<ShardAnswers<T>> AskAsync<T>(
        IEnumerable<int> shards, Func<string, TimeSpan, CancellationToken, Task<T>> ask, TimeSpan patience, CancellationToken cancellation)
    {
        if (patience <= TimeSpan.Zero) return new ShardAnswers<T>([], [.. shards.Select(shard => Leave(apps[shard], "late", $"{apps[shard]} was not asked: no time was left."))]);
        using var late = new CancellationTokenSource(patience, clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        (ShardAnswer<T>? Answer, LeftOut? LeftOut)[] outcomes = await Task.WhenAll(shards.Select(AskOneAsync));
        return new ShardAnswers<T>(
            [.. outcomes.Select(static outcome => outcome.Answer).OfType<ShardAnswer<T>>()],
            [.. outcomes.Select(static outcome => outcome.LeftOut).OfType<LeftOut>()]);

        async Task<(ShardAnswer<T>?, LeftOut?)> AskOneAsync(int shard)
        {
            try
            {
                // WaitAsync: a call that does not watch its token is left behind, not waited for.
                T value = await ask(apps[shard], patience, linked.Token).WaitAsync(linked.Token);
                return (new ShardAnswer<T>(shard, apps[shard], value), null);
            }
            catch (ServiceUnavailableException failure)
            {
                return (null, Leave(apps[shard], failure.IsLate ? "late" : "failed", failure.Message));
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                return (null, Leave(apps[shard], "late", $"{apps[shard]} did not answer within {patience.TotalMilliseconds:0} ms."));
            }
        }
    }

    public LeftOut Leave(string appId, string kind, string reason)
    {
        metrics.ShardLeftOut(appId, kind);
        return new LeftOut(appId, kind, reason);
    }
}
