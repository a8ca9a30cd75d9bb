using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes what the user has engaged with, ever, and what the client says it has shown (excludeIds).</summary>
internal sealed class SeenFilter : PredicateFilter
{
    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        var engaged = new HashSet<uint>(query.Context.Engaged);
        var seen = query.SequenceItems().Select(entry => entry.ItemId).ToHashSet(StringComparer.Ordinal);
        seen.UnionWith(query.ExcludeIds);
        return candidate => !seen.Contains(candidate.ItemId) && !engaged.Contains(ItemHash.Compute(candidate.ItemId));
    }
}
