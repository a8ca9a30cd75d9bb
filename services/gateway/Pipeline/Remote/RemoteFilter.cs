using System.Text.Json.Nodes;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Remote;

/// <summary>
/// A filter in another app. It answers <c>kept</c>, <c>removed</c>, or both; an id that is in both, in neither of the two
/// given, or was never asked about is a failure of the stage: nothing may get lost, or in, between two apps.
/// </summary>
internal sealed class RemoteFilter(IMeshServices services, StageDefinition stage) : IFilter
{
    public bool IsHop => true;

    public async ValueTask<Partition> FilterAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        JsonNode? answer = await services.InvokeStageAsync(
            stage.Invoke!.AppId, stage.Invoke.Method, StageJson.Request(query, candidates, stage.Params), call.Budget, call.Cancellation);
        HashSet<string>? kept = StageJson.Ids(answer, "kept");
        HashSet<string>? removed = StageJson.Ids(answer, "removed");
        if (kept is null && removed is null) throw new StageException("the stage answered neither kept nor removed");

        var asked = candidates.Select(candidate => candidate.ItemId).ToHashSet(StringComparer.Ordinal);
        if ((kept ?? []).Concat(removed ?? []).FirstOrDefault(id => !asked.Contains(id)) is { } stranger)
            throw new StageException($"the stage answered item {stranger}, which it was not asked about");
        kept ??= [.. asked.Except(removed!)];
        removed ??= [.. asked.Except(kept)];
        if (kept.Overlaps(removed)) throw new StageException("the stage answered an item as both kept and removed");
        if (kept.Count + removed.Count != asked.Count)
            throw new StageException($"the stage answered {kept.Count} kept and {removed.Count} removed of {asked.Count} candidates");

        return new Partition(
            [.. candidates.Where(candidate => kept.Contains(candidate.ItemId))], [.. candidates.Where(candidate => removed.Contains(candidate.ItemId))]);
    }
}
