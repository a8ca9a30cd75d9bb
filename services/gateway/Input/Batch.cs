using System.Text.Json;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Problems;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Input;

/// <summary>What became of a batch. Accepted rows are durably with the broker.</summary>
/// <param name="Accepted">How many rows.</param>
/// <param name="Rejected">
/// The others, each with its index in the batch and its faults by field. "$" is the row itself, "broker" a row to send again.
/// </param>
public sealed record BatchResult(int Accepted, IReadOnlyList<RejectedRow> Rejected);

public sealed record RejectedRow(int Index, IReadOnlyDictionary<string, string[]> Errors);

/// <summary>One row that passed, on its way to a topic.</summary>
internal readonly record struct Row<T>(int Index, T Message);

/// <summary>Binds each row of a batch by itself, so that a bad one is rejected alone, and publishes the good ones.</summary>
internal sealed class Batch(IEventTopics topics, GatewayMetrics metrics, IOptions<GatewayOptions> options)
{
    public delegate T? RowBinder<T>(JsonElement element, out Faults faults) where T : class;

    /// <summary>The rows of <c>{"name": [...]}</c>; null, with the faults of the body itself, where there are none to look at.</summary>
    public static JsonElement[]? Rows(JsonElement body, string name, out Faults faults)
    {
        faults = new Faults();
        JsonElement rows = default;
        int named = 0;
        if (body.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in body.EnumerateObject().Where(property => property.NameEquals(name)))
            {
                named++;
                rows = property.Value;
            }
        }

        if (body.ValueKind != JsonValueKind.Object) faults.Add("$", $"The body must be an object such as {{\"{name}\": [...]}}.");
        else if (named > 1) faults.Add(name, $"{name} is given {named} times.");
        else if (named == 0 || rows.ValueKind != JsonValueKind.Array)
            faults.Add(name, $"{name} is missing or not an array; it holds 1-{Limits.BatchMax} rows.");
        else if (rows.GetArrayLength() is 0 or > Limits.BatchMax)
            faults.Add(name, $"{name} holds {rows.GetArrayLength()} rows; 1-{Limits.BatchMax} are allowed.");
        return faults.Any ? null : [.. rows.EnumerateArray()];
    }

    /// <summary>Binds rows; those at fault go to <paramref name="rejected"/>.</summary>
    public List<Row<T>> Bind<T>(
        string topic, IReadOnlyList<JsonElement> rows, RowBinder<T> bind, List<RejectedRow> rejected) where T : class
    {
        var bound = new List<Row<T>>(rows.Count);
        for (int i = 0; i < rows.Count; i++)
        {
            T? message = bind(rows[i], out Faults faults);
            if (faults.Any || message is null) rejected.Add(new RejectedRow(i, faults.ToErrors()));
            else bound.Add(new Row<T>(i, message));
        }

        metrics.RowsRejected(topic, "caller", rejected.Count);
        return bound;
    }

    /// <summary>Publishes; answers the rows that the broker refused. When it returns, the others are durable.</summary>
    /// <exception cref="ServiceUnavailableException">Not one row is durable: the caller sends all again.</exception>
    public async Task<IReadOnlyList<RejectedRow>> PublishAsync<T>(string topic, IReadOnlyList<Row<T>> rows, CancellationToken cancellation)
        where T : class, Google.Protobuf.IMessage<T>
    {
        if (rows.Count == 0) return [];
        IReadOnlyDictionary<int, string> refused = await topics.PublishAsync(
            topic, [.. rows.Select(row => row.Message)], TimeSpan.FromMilliseconds(options.Value.CallTimeoutMs), cancellation);
        metrics.RowsAccepted(topic, rows.Count - refused.Count);
        metrics.RowsRejected(topic, "broker", refused.Count);
        if (refused.Count == rows.Count)
            throw new ServiceUnavailableException($"The broker took none of {rows.Count} rows on {topic}: {refused.Values.First()}");
        return [.. refused.Select(pair => NotPublished(rows[pair.Key].Index, pair.Value))];
    }

    /// <summary>Publishes and answers the request: 202 with what was rejected, or 503 where nothing is durable.</summary>
    /// <param name="rowCount">Rows that the caller sent.</param>
    /// <param name="rejected">Rows at fault, from <see cref="Bind"/>.</param>
    public async Task<Results<Accepted<BatchResult>, ValidationProblem, ProblemHttpResult>> AnswerAsync<T>(
        HttpContext context, string topic, IReadOnlyList<Row<T>> rows, int rowCount, IReadOnlyList<RejectedRow> rejected)
        where T : class, Google.Protobuf.IMessage<T>
    {
        try
        {
            RejectedRow[] all = [.. rejected, .. await PublishAsync(topic, rows, context.RequestAborted)];
            return TypedResults.Accepted((string?)null, new BatchResult(rowCount - all.Length, [.. all.OrderBy(row => row.Index)]));
        }
        catch (ServiceUnavailableException failure)
        {
            return Problem.From(context, failure);
        }
    }

    private static RejectedRow NotPublished(int index, string reason) =>
        new(index, new Dictionary<string, string[]> { ["broker"] = [$"not published, send it again: {reason}"] });
}
