using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>
/// Removes items by authors the user has blocked: through the profile, or by answering one of their items with
/// block_author. Which author such an item has is known from the history that retrieval answers with.
/// </summary>
internal sealed class BlockedAuthorsFilter : PredicateFilter
{
    private static readonly int BlockAuthor = ActionTaxonomy.Default.IndexOf("block_author");

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        var blocked = query.Context.Profile.Blocks.ToHashSet(StringComparer.Ordinal);
        var answered = query.SequenceItems().Where(entry => entry.Action == BlockAuthor).Select(entry => entry.ItemId).ToHashSet(StringComparer.Ordinal);
        blocked.UnionWith(query.History.Where(item => answered.Contains(item.ItemId)).Select(item => item.AuthorId));
        return candidate => !blocked.Contains(candidate.AuthorId);
    }
}
