namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>A filter that judges each candidate alone. What depends on the query is prepared once, not once per candidate.</summary>
internal abstract class PredicateFilter : IFilter
{
    public virtual bool IsEnabled(FeedQuery query) => true;

    public ValueTask<Partition> FilterAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        Func<FeedCandidate, bool> keeps = Prepare(query);
        var kept = new List<FeedCandidate>(candidates.Count);
        var removed = new List<FeedCandidate>();
        foreach (FeedCandidate candidate in candidates) (keeps(candidate) ? kept : removed).Add(candidate);
        return ValueTask.FromResult(new Partition(kept, removed));
    }

    /// <summary>Answers which candidates stay.</summary>
    protected abstract Func<FeedCandidate, bool> Prepare(FeedQuery query);
}
