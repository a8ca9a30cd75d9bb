using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Hydrators;

/// <summary>
/// The user's sequence and profile, in the one fetch a request makes (idea A: request-oriented). Without it the user is
/// anonymous: trending and language still work, follows, mutes and what was seen do not, and the page says so.
/// </summary>
internal sealed class UserContextHydrator(IMeshServices services, StageParams options) : IQueryHydrator
{
    private readonly int _eventsMax = options.Integer("events_max", 512, 1, 4_096);

    public bool IsHop => true;

    public async Task<Action<FeedQuery>> HydrateAsync(FeedQuery query, StageCall call)
    {
        UserContext context = await services.GetContextAsync(query.UserId, query.NowMs, _eventsMax, call.Budget, call.Cancellation);
        context.Sequence ??= new Sequence(); // protobuf leaves empty messages out
        context.Profile ??= new SocialProfile();
        return hydrated => hydrated.Context = context;
    }
}
