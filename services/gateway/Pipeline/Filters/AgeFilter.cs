using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes items older than <c>max_age_hours</c>; 0, the default, removes none, since imported catalogues are old.</summary>
internal sealed class AgeFilter(StageParams options) : PredicateFilter
{
    private const long MsPerHour = 60 * 60 * 1000;
    private readonly int _ageHoursMax = options.Integer("max_age_hours", 0, 0, 24 * 365 * 200);

    public override bool IsEnabled(FeedQuery query) => _ageHoursMax > 0;

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        long oldestMs = query.NowMs - (_ageHoursMax * MsPerHour);
        return candidate => candidate.Data.CreatedAtMs >= oldestMs;
    }
}
