namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes candidates that a client could not show: without an id or an author.</summary>
internal sealed class CoreDataFilter : PredicateFilter
{
    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query) =>
        candidate => candidate.ItemId.Length > 0 && candidate.AuthorId.Length > 0;
}
