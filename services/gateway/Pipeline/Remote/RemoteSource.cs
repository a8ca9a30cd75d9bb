using System.Text.Json;
using System.Text.Json.Nodes;
using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Input;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Remote;

/// <summary>A source in another app: answers <c>candidates</c> with at least itemId and authorId each, at most 2,000.</summary>
internal sealed class RemoteSource(IMeshServices services, StageDefinition stage) : ISource
{
    private const int CandidatesMax = 2_000;

    public bool IsHop => true;

    public async Task<Found> FetchAsync(FeedQuery query, StageCall call)
    {
        JsonNode? answer = await services.InvokeStageAsync(
            stage.Invoke!.AppId, stage.Invoke.Method, StageJson.Request(query, [], stage.Params), call.Budget, call.Cancellation);
        if (answer?["candidates"] is not JsonArray rows) throw new StageException("the stage answered no candidates");
        if (rows.Count > CandidatesMax)
            throw new StageException($"the stage answered {rows.Count} candidates; at most {CandidatesMax} are taken");
        return new Found([.. rows.Select(Read)]);
    }

    private FeedCandidate Read(JsonNode? node)
    {
        JsonRow row = JsonRow.Open(JsonSerializer.SerializeToElement(node));
        var candidate = new Candidate
        {
            ItemId = row.Text("itemId") ?? "", AuthorId = row.Text("authorId") ?? "", CreatedAtMs = row.Integer("createdAtMs") ?? 0, Language = row.Text("language") ?? "",
            DurationMs = row.Integer("durationMs") ?? 0, Similarity = row.Number("similarity") ?? 0, Text = row.Text("text") ?? "", Sources = { stage.Name },
        };
        candidate.Tags.Add(row.Texts("tags", Limits.TagsMax) ?? []);
        if (row.Faults.Any || !MeshId.IsValid(candidate.ItemId) || !MeshId.IsValid(candidate.AuthorId))
            throw new StageException("the stage answered a candidate that cannot be read");
        return new FeedCandidate(candidate) { TextLoaded = row.Has("text") };
    }
}
