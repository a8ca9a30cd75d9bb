namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes items by authors the user has muted.</summary>
internal sealed class MutedAuthorsFilter : PredicateFilter
{
    public override bool IsEnabled(FeedQuery query) => query.Context.Profile.Mutes.Count > 0;

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        var muted = query.Context.Profile.Mutes.ToHashSet(StringComparer.Ordinal);
        return candidate => !muted.Contains(candidate.AuthorId);
    }
}
