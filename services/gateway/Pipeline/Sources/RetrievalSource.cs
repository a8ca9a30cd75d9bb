using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Sources;

/// <summary>All sources of the index in one call: in-network, two-tower, semantic-id, trending. A limit of 0 leaves one out.</summary>
internal sealed class RetrievalSource(IMeshServices services, RememberedTrending remembered, StageParams options) : ISource
{
    private readonly SourceRequest[] _sources =
    [
        .. new[]
        {
            new SourceRequest { Name = "in-network", Limit = (uint)options.Integer("in_network", 300, 0, 2_000) },
            new SourceRequest { Name = "two-tower", Limit = (uint)options.Integer("two_tower", 300, 0, 2_000) },
            new SourceRequest { Name = "semantic-id", Limit = (uint)options.Integer("semantic_id", 150, 0, 2_000) },
            new SourceRequest { Name = "trending", Limit = (uint)options.Integer("trending", 100, 0, 2_000) },
        }.Where(source => source.Limit > 0),
    ];

    public bool IsHop => true;

    public async Task<Found> FetchAsync(FeedQuery query, StageCall call)
    {
        SocialProfile profile = query.Context.Profile;
        bool includeText = profile.MutedWords.Count > 0 || remembered.WantsText;
        var request = new RetrieveRequest
        {
            UserId = query.UserId, NowMs = query.NowMs, Sequence = query.Context.Sequence, Language = query.Language, Region = query.Region, IncludeText = includeText,
            Follows = { profile.Follows }, Sources = { _sources }, Exclude = { Exclusions.Of(query) },
        };
        RetrieveResponse response = await services.RetrieveAsync(request, call.Budget, call.Cancellation);
        remembered.Remember(response, includeText);
        return new Found(
            [.. response.Candidates.Select(candidate => new FeedCandidate(candidate) { TextLoaded = includeText })],
            hydrated =>
            {
                hydrated.History = response.History;
                hydrated.HistoryVersion = hydrated.CodesVersion = response.ModelVersion;
                hydrated.IndexVersion = response.IndexVersion;
                hydrated.CounterHalfLifeHours = response.CounterHalfLifeHours;
            },
            [.. response.Sources.Where(report => report.Error.Length > 0).Select(report => new Degradation($"retrieval/{report.Name}", report.Error))]);
    }
}
