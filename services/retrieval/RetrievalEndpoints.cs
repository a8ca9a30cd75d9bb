using System.Globalization;
using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;
using Mesh.Retrieval.Requests;
using Mesh.Retrieval.Values;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Retrieval;

/// <summary>
/// POST retrieve, POST history, POST similar, POST items, GET status, GET digest, and the delta topic. Each handler takes the index once from the
/// holder and works on that one to the end.
/// </summary>
internal static class RetrievalEndpoints
{
    public static void MapRetrieval(this WebApplication app)
    {
        app.Services.GetRequiredService<ValueFormulas>(); // a faulty formula stops the start, not the first request
        app.MapPost("/retrieve", RetrieveAsync);
        app.MapPost("/history", HistoryAsync);
        app.MapPost("/similar", SimilarAsync);
        app.MapPost("/items", ItemsAsync);
        app.MapGet("/status", Status);
        app.MapGet("/digest", Digest);
        app.MapBulkTopic<IndexDeltaBatch>(
            Components.DeltaPubSub, Topics.IndexDeltas, app.Services.GetRequiredService<IndexFollower>().Receive, messagesMax: 100, awaitMs: 5);
    }

    private static async Task<IResult> RetrieveAsync(
        HttpContext context, IndexHolder holder, Retriever retriever, AdmissionGate gate, RetrievalMetrics metrics, IOptions<RetrievalOptions> options)
    {
        // Before the body is read: turning a call away must cost less than serving it.
        if (!gate.TryEnter())
        {
            metrics.RequestRejected();
            return Unavailable(context, $"{gate.CallsMax} retrieve calls are running already; send this one again.");
        }

        try
        {
            using CancellationTokenSource deadline = StartDeadline(context, options.Value);
            var request = await context.Request.ReadProtobufAsync<RetrieveRequest>(context.RequestAborted);
            RequestFaults faults = RequestFaults.Of(request, out FilterPlan plan);
            if (faults.Any) return TypedResults.ValidationProblem(faults.ToDictionary());
            using IndexLease? lease = holder.Lease();
            if (lease is null) return StillLoading(context);
            return new ProtobufResult(await retriever.RetrieveAsync(lease.Index, request, plan, deadline.Token));
        }
        finally
        {
            gate.Exit();
        }
    }

    // Not behind the gate: a thousand look-ups in memory, and the retrieve call that follows them counts.
    private static async Task<IResult> HistoryAsync(HttpContext context, IndexHolder holder)
    {
        var request = await context.Request.ReadProtobufAsync<HistoryRequest>(context.RequestAborted);
        RequestFaults faults = RequestFaults.Of(request);
        if (faults.Any) return TypedResults.ValidationProblem(faults.ToDictionary());
        return holder.Current is { } index ? new ProtobufResult(Retriever.History(index, request)) : StillLoading(context);
    }

    private static async Task<IResult> SimilarAsync(HttpContext context, IndexHolder holder)
    {
        var request = await context.Request.ReadProtobufAsync<SimilarRequest>(context.RequestAborted);
        RequestFaults faults = RequestFaults.Of(request);
        if (faults.Any) return TypedResults.ValidationProblem(faults.ToDictionary());
        if (holder.Current is not { } index) return StillLoading(context);
        if (!request.Embedding.IsEmpty && request.ModelVersion != index.ModelVersion)
        {
            return TypedResults.Problem(
                $"The embedding is of model '{request.ModelVersion}', this shard's index of '{index.ModelVersion}': they cannot be compared.",
                statusCode: StatusCodes.Status409Conflict);
        }

        return Retriever.Similar(index, request, context.RequestAborted) is { } response
            ? new ProtobufResult(response)
            : TypedResults.Problem($"Item {request.ItemId} is not in the index: it was never published, is deleted, or is not indexed yet.", statusCode: StatusCodes.Status404NotFound);
    }

    private static async Task<IResult> ItemsAsync(HttpContext context, IndexHolder holder)
    {
        var request = await context.Request.ReadProtobufAsync<ItemLookupRequest>(context.RequestAborted);
        RequestFaults faults = RequestFaults.Of(request);
        if (faults.Any) return TypedResults.ValidationProblem(faults.ToDictionary());
        return holder.Current is { } index ? new ProtobufResult(Retriever.Lookup(index, request)) : StillLoading(context);
    }

    private static ProtobufResult Status(IndexHolder holder, FollowerState state, ValueFormulas values, IOptions<RetrievalOptions> options)
    {
        RetrievalStatus status = state.Describe(holder.Current, options.Value);
        status.ValueFormula = values.Current.TwoTowerText;
        status.SemanticIdValueFormula = values.Current.SemanticIdText;
        return new ProtobufResult(status);
    }

    private static IResult Digest(HttpContext context, IndexHolder holder, IOptions<RetrievalOptions> options)
    {
        if (holder.Current is not { } index) return StillLoading(context);
        return index.TryDigest(context.RequestAborted) is { } digest
            ? new ProtobufResult(new RowsDigest
            {
                Shard = (uint)options.Value.Shard, Sequence = digest.Sequence, Items = digest.Rows.Count, Digest = digest.Rows.Value, ModelVersion = index.ModelVersion,
            })
            : Unavailable(context, "Deltas came while the rows were summed up, each time it was tried; ask again.");
    }

    // What is left of the caller's budget less the time that merging and writing take: a source that uses up its time must
    // not take the answer of the others with it.
    private static CancellationTokenSource StartDeadline(HttpContext context, RetrievalOptions options)
    {
        int budgetMs = int.TryParse(context.Request.Headers[Deadline.Header], NumberStyles.None, CultureInfo.InvariantCulture, out int given)
            ? given
            : options.RetrieveTimeoutMs;
        var deadline = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        deadline.CancelAfter(Math.Max(1, budgetMs - options.ResponseReserveMs));
        return deadline;
    }

    private static ProblemHttpResult StillLoading(HttpContext context) => Unavailable(context, "The index is still loading its snapshot and deltas.");

    private static ProblemHttpResult Unavailable(HttpContext context, string detail)
    {
        context.Response.Headers.RetryAfter = "1";
        return TypedResults.Problem(detail, statusCode: StatusCodes.Status503ServiceUnavailable);
    }
}
