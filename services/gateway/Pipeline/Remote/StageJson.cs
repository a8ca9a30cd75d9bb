using System.Text.Json.Nodes;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Remote;

/// <summary>
/// The JSON contract of a stage in another app, in any language: <c>{query, candidates, params}</c> goes out;
/// <c>{kept, removed}</c>, <c>{scores}</c> or <c>{candidates}</c> comes back. docs/api.md shows it in full.
/// </summary>
internal static class StageJson
{
    public static JsonObject Request(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageParams options) => new()
    {
        ["query"] = Query(query),
        ["candidates"] = new JsonArray([.. candidates.Select(Candidate)]),
        ["params"] = new JsonObject(options.Values.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)JsonValue.Create(pair.Value)))),
    };

    public static JsonObject Query(FeedQuery query) => new()
    {
        ["requestId"] = query.RequestId,
        ["userId"] = query.UserId,
        ["nowMs"] = query.NowMs,
        ["limit"] = query.Limit,
        ["surface"] = query.Surface,
        ["language"] = query.Language,
        ["region"] = query.Region,
        ["follows"] = new JsonArray([.. query.Context.Profile.Follows.Select(author => (JsonNode)author)]),
        ["arms"] = new JsonObject(query.Arms.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)JsonValue.Create(pair.Value)))),
    };

    public static JsonNode Candidate(FeedCandidate candidate) => new JsonObject
    {
        ["itemId"] = candidate.ItemId,
        ["authorId"] = candidate.AuthorId,
        ["createdAtMs"] = candidate.Data.CreatedAtMs,
        ["language"] = candidate.Data.Language,
        ["durationMs"] = candidate.Data.DurationMs,
        ["tags"] = new JsonArray([.. candidate.Data.Tags.Select(tag => (JsonNode)tag)]),
        ["sources"] = new JsonArray([.. candidate.Sources.Select(source => (JsonNode)source)]),
        ["inNetwork"] = candidate.InNetwork,
        ["similarity"] = float.IsFinite(candidate.Data.Similarity) ? candidate.Data.Similarity : 0,
        ["score"] = double.IsFinite(candidate.Score) ? candidate.Score : null,
    };

    /// <summary>A list of ids under a name; null where the answer has none.</summary>
    public static HashSet<string>? Ids(JsonNode? answer, string name)
    {
        if (answer?[name] is not { } node) return null;
        if (node is not JsonArray ids) throw new StageException($"the stage answered {name} that is not an array");
        return ids.Select(
            id => id is JsonValue value && value.TryGetValue(out string? text) ? text : throw new StageException($"the stage answered {name} with an entry that is no string"))
            .ToHashSet(StringComparer.Ordinal);
    }
}
