namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Keeps the first candidate of each id, which takes over the sources of the others.</summary>
internal sealed class DuplicateFilter : IFilter
{
    public ValueTask<Partition> FilterAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        var first = new Dictionary<string, FeedCandidate>(candidates.Count, StringComparer.Ordinal);
        var kept = new List<FeedCandidate>(candidates.Count);
        var removed = new List<FeedCandidate>();
        foreach (FeedCandidate candidate in candidates) (first.TryAdd(candidate.ItemId, candidate) ? kept : removed).Add(candidate);

        return ValueTask.FromResult(new Partition(kept, removed, () =>
        {
            foreach (FeedCandidate duplicate in removed) first[duplicate.ItemId].Merge(duplicate);
        }));
    }
}
