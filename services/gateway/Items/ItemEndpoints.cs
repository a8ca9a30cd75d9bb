using System.Text.Json;
using FluentValidation;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Input;
using Mesh.Gateway.OpenApi;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Items;

/// <summary>Items come in, change and go. Every write is an event on a topic: 202 means that the broker holds it durably.</summary>
internal static class ItemEndpoints
{
    private const string ItemExample =
        """{"authorId":"author-3","text":"A walk along the canal","tags":["travel","photo"],"createdAt":"2026-11-22T13:00:00Z","language":"en","durationMs":0,"attributes":{"kind":"post"}}""";

    public static void MapItems(this IEndpointRouteBuilder endpoints)
    {
        RouteGroupBuilder items = endpoints.MapGroup("/v1/items").WithTags("Items");
        items.MapPut("/{itemId}", PutItemAsync).WithSummary("Create or replace one item")
            .WithDescription("202 once the broker holds it; it is in feeds about a second later. The later change of an item wins.")
            .Accepts<ItemBody>("application/json").WithExample(ItemExample, """{"itemId":"item-1"}""", 202).WithBodyProblems();
        items.MapPost("", PostItemsAsync).WithSummary("Create or replace up to 1,000 items")
            .WithDescription(
                "A bad row never rejects its batch: it is listed in `rejected` with its index and faults. A row named again later in the batch is superseded by it.")
            .Accepts<ItemBatchBody>("application/json")
            .WithExample($$"""{"items":[{"itemId":"item-1",{{ItemExample[1..]}}]}""", """{"accepted":1,"rejected":[]}""", 202).WithBodyProblems();
        items.MapDelete("/{itemId}", DeleteItemAsync).WithSummary("Delete one item")
            .WithDescription("202 once the broker holds it. Deleting what is not there is fine.").WithBodyProblems();
        items.MapPatch("/{itemId}/eligibility", PatchEligibilityAsync).WithSummary("Change who may see an item")
            .WithDescription("Only the fields that are given change. 404 where the index does not know the item.")
            .Accepts<EligibilityInput>("application/json").WithExample("""{"hidden":false,"languages":["en","de"],"regions":["DE"],"safety":"safe"}""", """{"itemId":"item-1"}""", 202)
            .ProducesProblem(StatusCodes.Status404NotFound).WithBodyProblems();
        items.MapGet("/{itemId}/similar", GetSimilarAsync).WithSummary("Items that are close to an item")
            .WithParameters(new ParameterDoc("limit", "integer", "Items to answer, 1-200. Default 20.", 20))
            .ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status503ServiceUnavailable).WithMeshProblems();
    }

    private static async Task<Results<Accepted<ItemReference>, ValidationProblem, ProblemHttpResult>> PutItemAsync(
        string itemId, HttpContext context, Batch batch, IValidator<ItemInput> validator, TimeProvider clock)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request, context.RequestAborted);
        ItemInput input = ItemInput.Bind(body.RootElement, itemId, out Faults faults);
        validator.Check(input, faults);
        if (faults.Any) return Problem.Invalid(faults);

        return await PublishAsync(context, batch, Topics.Items, Upsert(input, clock.GetUtcNow()), itemId);
    }

    private static async Task<Results<Accepted<BatchResult>, ValidationProblem, ProblemHttpResult>> PostItemsAsync(
        HttpContext context, Batch batch, IValidator<ItemInput> validator, TimeProvider clock)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request, context.RequestAborted);
        if (Batch.Rows(body.RootElement, "items", out Faults bodyFaults) is not { } rows) return Problem.Invalid(bodyFaults);

        DateTimeOffset now = clock.GetUtcNow();
        var rejected = new List<RejectedRow>();
        List<Row<ItemChange>> bound = batch.Bind(Topics.Items, rows, (JsonElement element, out Faults faults) =>
        {
            ItemInput input = ItemInput.Bind(element, null, out faults);
            validator.Check(input, faults);
            return faults.Any ? null : Upsert(input, now);
        }, rejected);

        // Rows of one batch share a time, and consumers order changes of an item by time: only the last row of an item is
        // sent, and the earlier ones, which it replaces, count as accepted with it.
        List<Row<ItemChange>> last = [.. bound.GroupBy(row => row.Message.Upserted.ItemId, StringComparer.Ordinal).Select(group => group.Last()).OrderBy(row => row.Index)];
        return await batch.AnswerAsync(context, Topics.Items, last, rows.Length, rejected);
    }

    private static async Task<Results<Accepted<ItemReference>, ValidationProblem, ProblemHttpResult>> DeleteItemAsync(
        string itemId, HttpContext context, Batch batch, TimeProvider clock)
    {
        if (!MeshId.IsValid(itemId)) return Problem.Invalid("itemId", Rules.IdFault("itemId", itemId));
        DateTimeOffset now = clock.GetUtcNow();
        var change = new ItemChange { EventId = Ulid.NewUlid(now).ToString(), TimeMs = now.ToUnixTimeMilliseconds(), DeletedItemId = itemId };
        return await PublishAsync(context, batch, Topics.Items, change, itemId);
    }

    private static async Task<Results<Accepted<ItemReference>, ValidationProblem, ProblemHttpResult>> PatchEligibilityAsync(
        string itemId, HttpContext context, Batch batch, IMeshServices services, IValidator<EligibilityInput> validator, IOptions<GatewayOptions> options, TimeProvider clock)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context.Request, context.RequestAborted);
        EligibilityInput input = EligibilityInput.Bind(body.RootElement, out Faults faults);
        if (!MeshId.IsValid(itemId)) faults.Add("itemId", Rules.IdFault("itemId", itemId));
        validator.Check(input, faults);
        if (faults.Any) return Problem.Invalid(faults);

        if (!await IsKnownAsync(itemId, services, options.Value, context.RequestAborted))
        {
            return Problem.NotFound(
                $"Item {itemId} is not known to the index: it was never sent, it is deleted, or it was sent a moment ago and is not indexed yet.");
        }

        DateTimeOffset now = clock.GetUtcNow();
        return await PublishAsync(
            context, batch, Topics.Eligibility, input.ToChange(Ulid.NewUlid(now).ToString(), itemId, now.ToUnixTimeMilliseconds()), itemId);
    }

    private static async Task<Results<Ok<SimilarItems>, ValidationProblem, ProblemHttpResult>> GetSimilarAsync(
        string itemId, string? limit, HttpContext context, IMeshServices services, IOptions<GatewayOptions> options)
    {
        var faults = new Faults();
        if (!MeshId.IsValid(itemId)) faults.Add("itemId", Rules.IdFault("itemId", itemId));
        int count = QueryText.Integer(faults, "limit", limit, 20, 1, Limits.FeedLimitMax);
        if (faults.Any) return Problem.Invalid(faults);
        try
        {
            var request = new SimilarRequest { ItemId = itemId, Limit = (uint)count };
            SimilarResponse? found = await services.FindSimilarAsync(
                request, TimeSpan.FromMilliseconds(options.Value.RequestBudgetMs), context.RequestAborted);
            return found is null
                ? Problem.NotFound(
                    $"Item {itemId} is not known to the index: it was never sent, it is deleted, or it was sent a moment ago and is not indexed yet.")
                : TypedResults.Ok(SimilarItems.From(itemId, found));
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }

    /// <summary>
    /// Whether index-updater knows the item. Where it does not answer the change is let through: the broker keeps it, and
    /// a change of an unknown item does nothing.
    /// </summary>
    private static async Task<bool> IsKnownAsync(
        string itemId, IMeshServices services, GatewayOptions options, CancellationToken cancellation)
    {
        try
        {
            return await services.GetItemAsync(itemId, TimeSpan.FromMilliseconds(options.RequestBudgetMs), cancellation) is not null;
        }
        catch (ServiceUnavailableException)
        {
            return true;
        }
    }

    private static async Task<Results<Accepted<ItemReference>, ValidationProblem, ProblemHttpResult>> PublishAsync<T>(
        HttpContext context, Batch batch, string topic, T message, string itemId) where T : class, Google.Protobuf.IMessage<T>
    {
        try
        {
            await batch.PublishAsync(topic, [new Row<T>(0, message)], context.RequestAborted);
            return TypedResults.Accepted((string?)null, new ItemReference(itemId));
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }

    private static ItemChange Upsert(ItemInput input, DateTimeOffset now) =>
        new() { EventId = Ulid.NewUlid(now).ToString(), TimeMs = now.ToUnixTimeMilliseconds(), Upserted = input.ToItem(now.ToUnixTimeMilliseconds()) };
}
