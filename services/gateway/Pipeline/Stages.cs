namespace Mesh.Gateway.Pipeline;

/// <summary>
/// A stage of the feed. Stages return what they found and never change the query or a candidate themselves: the pipeline
/// applies a result only if it came in time, so a stage given up on can do no harm later.
/// </summary>
internal interface IStage
{
    /// <summary>Whether the stage has anything to do for this query. A stage that is not enabled is not counted as run.</summary>
    bool IsEnabled(FeedQuery query) => true;

    /// <summary>
    /// Whether the stage leaves the process. Only such a stage depends on what the request has left: one that works in
    /// memory runs to its end even when the budget is spent, or a late page would be served without its blocks and mutes.
    /// </summary>
    bool IsHop => false;

    /// <summary>Whether a page is as good without the stage, which only saves time: its failure is counted, and not named in the page.</summary>
    bool OnlySavesTime => false;
}

/// <summary>Finds out about the user; answers the change to make to the query.</summary>
internal interface IQueryHydrator : IStage
{
    Task<Action<FeedQuery>> HydrateAsync(FeedQuery query, StageCall call);
}

/// <summary>
/// Prepares something for the scorers while the sources search; answers the change to make to the query. The scorers go
/// without what is not done by then.
/// </summary>
internal interface IPreparation : IStage
{
    /// <summary>Most that the scorers wait for it once the candidates are there.</summary>
    TimeSpan Wait { get; }

    Task<Action<FeedQuery>> PrepareAsync(FeedQuery query, StageCall call);
}

/// <summary>Finds candidates.</summary>
internal interface ISource : IStage
{
    Task<Found> FetchAsync(FeedQuery query, StageCall call);
}

/// <summary>Finds out about the candidates; answers the change to make to them.</summary>
internal interface IHydrator : IStage
{
    Task<Action> HydrateAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call);
}

/// <summary>Splits candidates into kept and removed; each is in exactly one of the two.</summary>
internal interface IFilter : IStage
{
    ValueTask<Partition> FilterAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call);
}

/// <summary>Gives scores, or factors to them; answers the change to make to the candidates.</summary>
internal interface IScorer : IStage
{
    Task<Action> ScoreAsync(FeedQuery query, IReadOnlyList<FeedCandidate> candidates, StageCall call);
}

/// <summary>Picks the page out of the scored candidates; what is not picked is the reserve.</summary>
internal interface ISelector : IStage
{
    Selection Select(FeedQuery query, IReadOnlyList<FeedCandidate> candidates);
}

/// <summary>Runs after the page was served; the response never waits for it.</summary>
internal interface ISideEffect : IStage
{
    Task RunAsync(FeedSlate slate, StageCall call);
}

/// <summary>What a stage gets with each call.</summary>
/// <param name="Budget">What is left for this stage; travels to each hop.</param>
/// <param name="Cancellation">Fires when the budget is spent, or the client has left.</param>
/// <param name="Remaining">What is left of the budget at a later moment.</param>
internal readonly record struct StageCall(TimeSpan Budget, CancellationToken Cancellation, Func<TimeSpan>? Remaining = null)
{
    /// <summary>What is left now, for a stage that makes one call after another.</summary>
    public TimeSpan Left => Remaining?.Invoke() ?? Budget;
}

/// <summary>What a source found, and what it learned on the way.</summary>
/// <param name="Update">Change to the query, such as the index version.</param>
/// <param name="Faults">Parts of the source that failed, each with its reason; the rest is served.</param>
internal sealed record Found(
    IReadOnlyList<FeedCandidate> Candidates, Action<FeedQuery>? Update = null, IReadOnlyList<Degradation>? Faults = null);

/// <summary>Outcome of a filter.</summary>
/// <param name="Merge">For the duplicate filter: removed candidates live on in the kept one of the same id.</param>
internal sealed record Partition(IReadOnlyList<FeedCandidate> Kept, IReadOnlyList<FeedCandidate> Removed, Action? Merge = null);

internal sealed record Selection(IReadOnlyList<FeedCandidate> Selected, IReadOnlyList<FeedCandidate> Reserve);

/// <summary>A stage that this page was served without.</summary>
public sealed record Degradation(string Stage, string Reason);

/// <summary>A candidate that a filter took out.</summary>
internal sealed record Removal(FeedCandidate Candidate, string Filter);

/// <summary>
/// The outcome of a pipeline. Conservation: every candidate id that a source found is in exactly one of
/// <see cref="Selected"/>, <see cref="Reserve"/> and <see cref="Removed"/>.
/// </summary>
internal sealed record FeedSlate(
    FeedQuery Query,
    IReadOnlyList<FeedCandidate> Selected,
    IReadOnlyList<FeedCandidate> Reserve,
    IReadOnlyList<Removal> Removed,
    IReadOnlyDictionary<string, int> RemovedCounts,
    IReadOnlyList<Degradation> Degraded,
    IReadOnlyDictionary<string, double> TimingsMs);

/// <summary>A stage failed whose <c>on_failure</c> is <c>fail_request</c>.</summary>
internal sealed class StageFailedException(Degradation degradation) : Exception($"Stage {degradation.Stage} failed: {degradation.Reason}")
{
    public Degradation Degradation => degradation;
}

/// <summary>A stage cannot do its work with what it was answered; the reason is fit for the response.</summary>
internal sealed class StageException(string reason) : Exception(reason);
