using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>
/// For "load more" only: removes what earlier pages showed. The cursor carries the pages of this session, so that page 2
/// is right before page 1's impressions have landed; the user's context adds what was served before.
/// </summary>
internal sealed class ServedFilter : PredicateFilter
{
    public override bool IsEnabled(FeedQuery query) => query.Cursor is not null;

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        var served = new HashSet<uint>(query.Cursor!.Served);
        served.UnionWith(query.Context.Served);
        return candidate => !served.Contains(ItemHash.Compute(candidate.ItemId));
    }
}
