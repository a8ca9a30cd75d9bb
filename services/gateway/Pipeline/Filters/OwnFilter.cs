namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes the user's own items.</summary>
internal sealed class OwnFilter : PredicateFilter
{
    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query) => candidate => candidate.AuthorId != query.UserId;
}
