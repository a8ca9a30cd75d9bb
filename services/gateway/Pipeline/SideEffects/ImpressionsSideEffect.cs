using Mesh.Contracts;
using Mesh.Gateway.Edge;

namespace Mesh.Gateway.Pipeline.SideEffects;

/// <summary>Tells the mesh what was served. The event id is the page's request id: publishing twice counts once.</summary>
internal sealed class ImpressionsSideEffect(IEventTopics topics) : ISideEffect
{
    public bool IsHop => true;

    public async Task RunAsync(FeedSlate slate, StageCall call)
    {
        var impressions = new Impressions
        {
            EventId = slate.Query.RequestId, RequestId = slate.Query.RequestId, UserId = slate.Query.UserId, TimeMs = slate.Query.NowMs, Surface = slate.Query.Surface,
            ItemIds = { slate.Selected.Select(candidate => candidate.ItemId) },
        };
        IReadOnlyDictionary<int, string> refused = await topics.PublishAsync(Topics.Impressions, [impressions], call.Budget, call.Cancellation);
        if (refused.Count > 0) throw new StageException($"the broker refused the impressions: {refused.Values.First()}");
    }
}
