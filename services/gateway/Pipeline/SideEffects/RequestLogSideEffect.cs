using Mesh.Contracts;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.SideEffects;

/// <summary>
/// Writes the page with what it was chosen from to the request log: the training unit of idea A. Served items first, in
/// order, then the best of the scored but not served, up to <c>candidates_max</c>.
/// </summary>
internal sealed class RequestLogSideEffect(IMeshServices services, StageParams options) : ISideEffect
{
    private readonly int _candidatesMax = options.Integer("candidates_max", 500, 1, 5_000);

    public bool IsHop => true;

    public Task RunAsync(FeedSlate slate, StageCall call)
    {
        FeedQuery query = slate.Query;
        var entry = new RequestLogEntry
        {
            RequestId = query.RequestId, UserId = query.UserId, TimeMs = query.NowMs, Surface = query.Surface, ModelVersion = query.ModelVersion ?? "",
            IndexVersion = query.IndexVersion ?? "", SequenceVersion = query.Context.Version,
        };
        foreach ((string flag, string arm) in query.ServedArms) entry.Arms[flag] = arm;
        entry.Candidates.Add(slate.Selected.Select(candidate => Row(candidate, served: true)));
        entry.Candidates.Add(
            slate.Reserve.Take(Math.Max(0, _candidatesMax - slate.Selected.Count)).Select(candidate => Row(candidate, served: false)));
        return services.LogRequestAsync(entry, call.Budget, call.Cancellation);
    }

    // Probabilities and counters are kept of what was served only: with probabilities those of 470 reserves an entry was 43 KB on the demo.
    private static LoggedCandidate Row(FeedCandidate candidate, bool served) => new()
    {
        ItemId = candidate.ItemId, Score = (float)candidate.Score, Served = served, Probabilities = { served ? candidate.Probabilities : [] }, Sources = { candidate.Sources },
        InNetwork = candidate.InNetwork, Counters = served ? candidate.Data.Counters : null,
    };
}
