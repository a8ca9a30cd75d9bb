using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Contracts.Storage;
using Mesh.Hosting;
using Mesh.IndexUpdater.Deltas;
using Mesh.IndexUpdater.Shards;
using Mesh.IndexUpdater.Writing;
using Mesh.Snapshots;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Mesh.IndexUpdater;

/// <summary>What retrieval and the gateway call through the sidecar. Bodies are protobuf; faults are problem details.</summary>
internal static class IndexUpdaterEndpoints
{
    public const int DeltasMax = 10_000;
    public const int DeltasDefault = 1_000;

    // How long the broker may gather a delivery. Short for items: an item is to be retrievable soon.
    private const int ItemsAwaitMs = 10;
    private const int EngagementsAwaitMs = 50;

    private const int CatalogueFlushBytes = 64 * 1024;

    public static void MapIndexUpdater(this WebApplication app)
    {
        app.MapGet("/deltas", DeltasAsync);
        app.MapGet("/snapshots/latest", LatestSnapshotAsync);
        app.MapPost("/snapshots", MakeSnapshotAsync);
        app.MapGet("/items/{itemId}", FindItemAsync);
        app.MapGet("/catalogue", CatalogueAsync);
        app.MapGet("/status", StatusAsync);
        app.MapGet("/digest", DigestAsync);

        var subscriber = app.Services.GetRequiredService<EventSubscriber>();
        app.MapBulkTopic<ItemChange>(Components.PubSub, Topics.Items, subscriber.ItemsAsync, awaitMs: ItemsAwaitMs);
        app.MapBulkTopic<EligibilityChange>(Components.PubSub, Topics.Eligibility, subscriber.EligibilityAsync, awaitMs: ItemsAwaitMs);
        app.MapBulkTopic<Engagement>(Components.PubSub, Topics.Engagements, subscriber.EngagementsAsync, awaitMs: EngagementsAwaitMs);
        app.MapBulkTopic<Impressions>(Components.PubSub, Topics.Impressions, subscriber.ImpressionsAsync, awaitMs: EngagementsAwaitMs);
        app.MapBulkTopic<ModelChange>(Components.PubSub, Topics.Models, subscriber.ModelsAsync);
        app.MapActorsHandlers();
    }

    private static async Task<Results<ProtobufResult, ValidationProblem>> DeltasAsync(
        string? shard, string? after, string? max, DeltaLogReader log, ShardRouter router, CancellationToken cancellation)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        ulong afterSequence = query.Number("after", after, 0, ulong.MaxValue - 1, 0);
        int deltasMax = (int)query.Number("max", max, 1, DeltasMax, DeltasDefault);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        IndexDeltaBatch batch = await log.ReadAsync(shardNumber, afterSequence, deltasMax, cancellation);
        batch.Shards = router.Shards;
        return new ProtobufResult(batch);
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> LatestSnapshotAsync(
        string? shard, SnapshotRequests snapshots, ShardRouter router, CancellationToken cancellation)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        return await snapshots.LatestAsync(shardNumber, cancellation) is { } manifest
            ? new ProtobufResult(manifest)
            : TypedResults.Problem($"Shard {shardNumber} has no snapshot yet.", statusCode: StatusCodes.Status404NotFound);
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> MakeSnapshotAsync(
        string? shard, bool? refit, SnapshotRequests snapshots, ShardRouter router, CancellationToken cancellation)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        try
        {
            return new ProtobufResult(await snapshots.MakeAsync(shardNumber, refit ?? false, cancellation));
        }
        catch (TimeoutException exception)
        {
            return TypedResults.Problem(exception.Message, statusCode: StatusCodes.Status504GatewayTimeout);
        }
    }

    private static async Task<Results<ProtobufResult, ProblemHttpResult>> FindItemAsync(
        string itemId, IShardClient shards, ShardRouter router, CancellationToken cancellation)
    {
        if (!MeshId.IsValid(itemId)) return TypedResults.Problem($"An item id is {MeshId.Rule}.", statusCode: StatusCodes.Status404NotFound);

        return await shards.FindAsync(router.ShardOf(itemId), itemId, cancellation) is { } row
            ? new ProtobufResult(row)
            : TypedResults.Problem($"The index has no item '{itemId}': it was never published, or was deleted.", statusCode: StatusCodes.Status404NotFound);
    }

    // One line of protobuf JSON for each live item. A snapshot or a log that cannot be read shows at the first of them.
    private static async Task<Results<JsonLinesResult, ValidationProblem, ProblemHttpResult>> CatalogueAsync(
        HttpContext context, string? shard, CatalogueReader catalogue, ShardRouter router)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        IAsyncEnumerator<Item> items = catalogue.ReadAsync(shardNumber, context.RequestAborted).GetAsyncEnumerator(context.RequestAborted);
        context.Response.RegisterForDisposeAsync(items);
        try
        {
            bool any = await items.MoveNextAsync();
            return new JsonLinesResult(RestOf(items, any), CatalogueFlushBytes);
        }
        catch (Exception exception) when (exception is InvalidDataException or SnapshotFormatException)
        {
            return TypedResults.Problem(exception.Message, statusCode: StatusCodes.Status503ServiceUnavailable);
        }
    }

    private static async IAsyncEnumerable<IMessage> RestOf(IAsyncEnumerator<Item> items, bool any)
    {
        for (; any; any = await items.MoveNextAsync()) yield return items.Current;
    }

    private static async Task<Results<ProtobufResult, ValidationProblem>> DigestAsync(
        string? shard, IShardClient shards, ShardRouter router, CancellationToken cancellation)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        return new ProtobufResult(await shards.DigestAsync(shardNumber, cancellation));
    }

    private static async Task<Results<ProtobufResult, ValidationProblem, ProblemHttpResult>> StatusAsync(
        string? shard, DeltaLogReader log, ShardRouter router, CancellationToken cancellation)
    {
        var query = new QueryChecks();
        uint shardNumber = (uint)query.Number("shard", shard, 0, router.Shards - 1, 0);
        if (query.Faults.Count > 0) return TypedResults.ValidationProblem(query.Faults);

        IndexLogHead? stored = await log.HeadAsync(shardNumber, cancellation);
        if (stored is not null && new LogKeys(shardNumber).FaultOf(stored, (int)router.Shards) is { } fault)
            return TypedResults.Problem(fault, statusCode: StatusCodes.Status409Conflict);

        IndexLogHead head = stored ?? new IndexLogHead();
        SnapshotRef? newest = head.Snapshots.FirstOrDefault();
        return new ProtobufResult(new UpdaterStatus
        {
            Shard = shardNumber,
            Shards = router.Shards,
            HeadSequence = head.Sequence,
            Items = head.Items,
            ModelVersion = head.ModelVersion,
            SnapshotVersion = newest?.Version ?? "",
            SnapshotSequence = newest?.Sequence ?? 0,
            LastEventLagMs = head.LastEventLagMs,
            NextModelVersion = head.ChosenModel is { } chosen && chosen.Version != ItemModel.EncoderOf(head.ModelVersion) ? chosen.Version : "",
        });
    }
}
