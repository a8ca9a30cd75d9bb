namespace Mesh.Gateway.Pipeline.Hydrators;

/// <summary>Marks candidates by authors the user follows, whichever source found them: a remembered one was found for somebody else.</summary>
internal sealed class InNetworkHydrator : IHydrator
{
    public Task<Action> HydrateAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call)
    {
        var follows = query.Context.Profile.Follows.ToHashSet(StringComparer.Ordinal);
        return Task.FromResult<Action>(() =>
        {
            foreach (FeedCandidate candidate in candidates) candidate.InNetwork = follows.Contains(candidate.AuthorId);
        });
    }
}
