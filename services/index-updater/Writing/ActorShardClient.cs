using System.Globalization;
using Dapr.Actors;
using Dapr.Actors.Client;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Microsoft.Extensions.Options;

namespace Mesh.IndexUpdater.Writing;

/// <summary>Calls the shard's actor through the sidecar, within a time limit.</summary>
internal sealed class ActorShardClient(IActorProxyFactory actors, IOptions<IndexUpdaterOptions> options, TimeProvider clock) : IShardClient
{
    public Task AppendItemsAsync(uint shard, ItemChanges changes, CancellationToken cancellation) =>
        CallAsync(shard, (actor, token) => Answered(actor.AppendItemsAsync(changes.ToByteArray(), token)), cancellation);

    public Task AppendCountsAsync(uint shard, CounterEvents events, CancellationToken cancellation) =>
        CallAsync(shard, (actor, token) => Answered(actor.AppendCountsAsync(events.ToByteArray(), token)), cancellation);

    public Task AppendEligibilityAsync(uint shard, EligibilityChanges changes, CancellationToken cancellation) =>
        CallAsync(shard, (actor, token) => Answered(actor.AppendEligibilityAsync(changes.ToByteArray(), token)), cancellation);

    public Task<string> BeginSnapshotAsync(uint shard, bool refit, CancellationToken cancellation) =>
        CallAsync(shard, (actor, token) => actor.BeginSnapshotAsync(refit, token), cancellation);

    public Task ChangeModelAsync(uint shard, ModelChange change, CancellationToken cancellation) =>
        CallAsync(shard, (actor, token) => Answered(actor.ChangeModelAsync(change.ToByteArray(), token)), cancellation);

    public async Task<ItemRow?> FindAsync(uint shard, string itemId, CancellationToken cancellation)
    {
        byte[] row = await CallAsync(shard, (actor, token) => actor.FindAsync(itemId, token), cancellation);
        return row.Length == 0 ? null : ItemRow.Parser.ParseFrom(row);
    }

    public async Task<RowsDigest> DigestAsync(uint shard, CancellationToken cancellation) =>
        RowsDigest.Parser.ParseFrom(await CallAsync(shard, (actor, token) => actor.DigestAsync(token), cancellation));

    private async Task<T> CallAsync<T>(uint shard, Func<IIndexShard, CancellationToken, Task<T>> call, CancellationToken cancellation)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromMilliseconds(options.Value.ActorTimeoutMs), clock);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, timeout.Token);
        IIndexShard actor = actors.CreateActorProxy<IIndexShard>(new ActorId(shard.ToString(CultureInfo.InvariantCulture)), IndexShardActor.TypeName);
        try
        {
            return await call(actor, linked.Token);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"Shard {shard} did not answer within {options.Value.ActorTimeoutMs} ms.");
        }
    }

    private static async Task<bool> Answered(Task call)
    {
        await call;
        return true;
    }
}
