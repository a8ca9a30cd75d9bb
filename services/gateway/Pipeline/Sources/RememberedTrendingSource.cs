namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>Trending from memory: keeps a feed from going blank while retrieval is away. Filtered for this user like any other source.</summary>
internal sealed class RememberedTrendingSource(RememberedTrending remembered) : ISource
{
    public Task<Found> FetchAsync(FeedQuery query, StageCall call)
    {
        (IReadOnlyList<FeedCandidate> candidates, RememberedTrending.Origin? from) = remembered.Recall();
        return Task.FromResult(new Found(candidates, hydrated =>
        {
            if (from is null) return;
            hydrated.CodesVersion = from.ModelVersion;
            hydrated.IndexVersion ??= from.IndexVersion;
        }));
    }
}
