using Mesh.Contracts;
using Mesh.Gateway.Input;

namespace Mesh.Gateway.Items;

/// <summary>The body of PUT /v1/items/{itemId}, for the API description; <see cref="ItemInput"/> reads it.</summary>
/// <param name="AuthorId">Required.</param>
/// <param name="Text">At most 5,000 characters.</param>
/// <param name="Tags">At most 32 of at most 64 characters.</param>
/// <param name="CreatedAt">ISO 8601, or Unix milliseconds as a number. Absent = now.</param>
/// <param name="Language">BCP 47.</param>
/// <param name="DurationMs">0 = not a video.</param>
/// <param name="Attributes">At most 32; keys of A-Z a-z 0-9 _ . - up to 64 characters, values up to 256.</param>
public sealed record ItemBody(
    string AuthorId, string? Text, IReadOnlyList<string>? Tags, DateTimeOffset? CreatedAt, string? Language, long? DurationMs, IReadOnlyDictionary<string, string>? Attributes);

/// <summary>One row of POST /v1/items.</summary>
public sealed record ItemRowBody(
    string ItemId, string AuthorId, string? Text, IReadOnlyList<string>? Tags, DateTimeOffset? CreatedAt, string? Language, long? DurationMs,
    IReadOnlyDictionary<string, string>? Attributes);

/// <summary>The body of POST /v1/items: 1-1,000 rows.</summary>
public sealed record ItemBatchBody(IReadOnlyList<ItemRowBody> Items);

/// <summary>The item that a write was about.</summary>
public sealed record ItemReference(string ItemId);

/// <summary>Items close to one, closest first.</summary>
public sealed record SimilarItems(string ItemId, IReadOnlyList<SimilarItem> Items, string IndexVersion)
{
    internal static SimilarItems From(string itemId, SimilarResponse response) => new(
        itemId,
        [
            .. response.Candidates.Where(candidate => candidate.Eligibility is not { Hidden: true })
                .Select(candidate => new SimilarItem(candidate.ItemId, candidate.AuthorId, candidate.Similarity, candidate.Tags, Moment.Format(candidate.CreatedAtMs))),
        ],
        response.IndexVersion);
}

/// <param name="Similarity">Cosine, -1 to 1; larger is closer.</param>
public sealed record SimilarItem(string ItemId, string AuthorId, float Similarity, IReadOnlyList<string> Tags, string CreatedAt);
