using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>More of trending, for a page whose every candidate was removed. Not tried where retrieval has just failed.</summary>
internal sealed class TrendingRefillSource(IMeshServices services, StageParams options) : ISource
{
    private readonly uint _limit = (uint)options.Integer("limit", 500, 1, 2_000);

    public bool IsHop => true;

    public bool IsEnabled(FeedQuery query) => !query.Failed.Contains("retrieval");

    public async Task<Found> FetchAsync(FeedQuery query, StageCall call)
    {
        bool includeText = query.Context.Profile.MutedWords.Count > 0;
        var request = new RetrieveRequest
        {
            UserId = query.UserId, NowMs = query.NowMs, Sequence = new Sequence(), Language = query.Language, Region = query.Region, IncludeText = includeText,
            Sources = { new SourceRequest { Name = "trending", Limit = _limit } }, Exclude = { Exclusions.Of(query) },
        };
        RetrieveResponse response = await services.RetrieveAsync(request, call.Budget, call.Cancellation);
        return new Found(
            [.. response.Candidates.Select(candidate => new FeedCandidate(candidate) { TextLoaded = includeText })],
            hydrated =>
            {
                // All that the page is made of comes from here.
                hydrated.CodesVersion = response.ModelVersion;
                hydrated.IndexVersion = response.IndexVersion;
                hydrated.CounterHalfLifeHours = response.CounterHalfLifeHours;
            });
    }
}
