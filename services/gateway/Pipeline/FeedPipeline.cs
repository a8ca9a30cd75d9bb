using Mesh.Gateway.Pipeline.Plan;
using Microsoft.Extensions.Options;

namespace Mesh.Gateway.Pipeline;

/// <summary>
/// The feed: hydrate the query, find candidates, filter, score, select. Idea D of the design. What each stage is, its
/// time and what its failure means comes from pipeline.yaml; how a stage is run is in <see cref="PipelineRun"/>.
/// </summary>
internal sealed class FeedPipeline(
    PipelinePlan plan, SideEffectQueue sideEffects, StageHealth health, GatewayMetrics metrics, TimeProvider clock, IOptions<GatewayOptions> options)
{
    /// <exception cref="StageFailedException">A stage failed that the plan says a feed cannot be without.</exception>
    public async Task<FeedSlate> RunAsync(FeedQuery query, CancellationToken cancellation)
    {
        using var run = new PipelineRun(query, TimeSpan.FromMilliseconds(options.Value.RequestBudgetMs), clock, metrics, health, cancellation);

        await run.HydrateQueryAsync(plan.QueryHydrators);
        run.Start(plan.BesideSources);
        IReadOnlyList<FeedCandidate> found = await run.FetchAsync(plan.Sources);
        await run.HydrateAsync(plan.Hydrators, found);
        IReadOnlyList<FeedCandidate> kept = await run.FilterAsync(plan.Filters, found);

        // Nothing left: each refill source is tried in turn, through the same filters, until something passes.
        foreach (PlannedStage<ISource> refill in plan.Refill.TakeWhile(_ => kept.Count == 0))
        {
            IReadOnlyList<FeedCandidate> more = await run.FetchAsync([refill]);
            await run.HydrateAsync(plan.Hydrators, more);
            kept = await run.FilterAsync(plan.Filters, run.Unseen(more));
        }

        await run.TakeWhatIsDoneAsync();
        await run.ScoreAsync(plan.Scorers, kept);
        Selection selection = run.Select(plan.Selector, kept);
        FeedSlate slate = run.Finish(selection);
        if (slate.Selected.Count > 0) sideEffects.Enqueue(slate);
        return slate;
    }
}
