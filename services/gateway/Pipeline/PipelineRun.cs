using System.Diagnostics;
using Mesh.Gateway.Edge;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline;

/// <summary>
/// One request's way through the stages: gives each its time out of what the request has left, adds span, counts and
/// duration, keeps the books of what was removed, and names what the page is served without. Used by one request; stages
/// of a parallel group only run at the same time, their results are applied here one after the other.
/// </summary>
internal sealed class PipelineRun(
    FeedQuery query, TimeSpan budget, TimeProvider clock, GatewayMetrics metrics, StageHealth health, CancellationToken cancellation) : IDisposable
{
    private static readonly ActivitySource Spans = new("Mesh.Gateway");

    private readonly long _started = clock.GetTimestamp();
    private readonly List<Removal> _removed = [];
    private readonly Dictionary<string, int> _removedCounts = new(StringComparer.Ordinal);
    private readonly List<Degradation> _degraded = [];
    private readonly Dictionary<string, double> _timingsMs = new(StringComparer.Ordinal);
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);
    private readonly List<(PlannedStage<IPreparation> Planned, Task<Action<FeedQuery>?> Running)> _beside = [];
    private readonly CancellationTokenSource _ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
    private volatile bool _taken;
    private int _found;

    public async Task HydrateQueryAsync(IReadOnlyList<PlannedStage<IQueryHydrator>> stages)
    {
        await foreach ((_, Action<FeedQuery> update) in RunGroupsAsync(stages, 0, (stage, call) => stage.HydrateAsync(query, call), _ => 0))
            update(query);
    }

    /// <summary>Starts what runs beside the sources, at the latest until the end of the request.</summary>
    public void Start(IReadOnlyList<PlannedStage<IPreparation>> stages)
    {
        foreach (PlannedStage<IPreparation> planned in stages.Where(planned => planned.Stage.IsEnabled(query)))
            _beside.Add((planned, PrepareAsync(planned)));
    }

    /// <summary>Applies what was done beside the sources, after the short wait that each stage is worth; the rest counts as late.</summary>
    public async Task TakeWhatIsDoneAsync()
    {
        foreach ((PlannedStage<IPreparation> planned, Task<Action<FeedQuery>?> running) in _beside)
        {
            try
            {
                (await running.WaitAsync(planned.Stage.Wait, clock, cancellation))?.Invoke(query);
            }
            catch (TimeoutException)
            {
                metrics.ServedWithout(planned.Definition.Name, "late");
            }
        }

        _taken = true;
    }

    /// <summary>Concatenates what the sources found; one that fails contributes nothing.</summary>
    public async Task<IReadOnlyList<FeedCandidate>> FetchAsync(IReadOnlyList<PlannedStage<ISource>> stages)
    {
        var candidates = new List<FeedCandidate>();
        await foreach (
            (_, Found found) in RunGroupsAsync(stages, 0, (stage, call) => stage.FetchAsync(query, call), found => found.Candidates.Count))
        {
            found.Update?.Invoke(query);
            candidates.AddRange(found.Candidates);
            foreach (Degradation fault in found.Faults ?? []) Degrade(fault, "failed");
        }

        _found += candidates.Count;
        return candidates;
    }

    /// <summary>Drops candidates whose id is already in the books, so that a refill never counts an id twice.</summary>
    public IReadOnlyList<FeedCandidate> Unseen(IReadOnlyList<FeedCandidate> candidates) =>
        [.. candidates.Where(candidate => !_known.Contains(candidate.ItemId))];

    public async Task HydrateAsync(IReadOnlyList<PlannedStage<IHydrator>> stages, IReadOnlyList<FeedCandidate> candidates)
    {
        int count = candidates.Count;
        await foreach (
            (_, Action update) in RunGroupsAsync(stages, count, (stage, call) => stage.HydrateAsync(query, candidates, call), _ => count))
            update();
    }

    public async Task<IReadOnlyList<FeedCandidate>> FilterAsync(
        IReadOnlyList<PlannedStage<IFilter>> stages, IReadOnlyList<FeedCandidate> candidates)
    {
        foreach (FeedCandidate candidate in candidates) _known.Add(candidate.ItemId);
        foreach (PlannedStage<IFilter> planned in stages.Where(planned => planned.Stage.IsEnabled(query)))
        {
            IReadOnlyList<FeedCandidate> entering = candidates;
            if (entering.Count == 0) break;
            (bool ran, Partition? partition) = await RunOneAsync(
                planned.Definition, planned.Stage, entering.Count,
                call => planned.Stage.FilterAsync(query, entering, call).AsTask(), result => result.Kept.Count);
            if (!ran) continue; // the list as it was before this filter

            partition!.Merge?.Invoke();
            if (partition.Merge is null)
                _removed.AddRange(partition.Removed.Select(candidate => new Removal(candidate, planned.Definition.Name)));
            _removedCounts[planned.Definition.Name] = _removedCounts.GetValueOrDefault(planned.Definition.Name) + partition.Removed.Count;
            metrics.Removed(planned.Definition.Name, partition.Removed.Count);
            candidates = partition.Kept;
        }

        return candidates;
    }

    public async Task ScoreAsync(IReadOnlyList<PlannedStage<IScorer>> stages, IReadOnlyList<FeedCandidate> candidates)
    {
        if (candidates.Count == 0) return;
        foreach (PlannedStage<IScorer> planned in stages.Where(planned => planned.Stage.IsEnabled(query)))
        {
            (bool ran, Action? update) = await RunOneAsync(
                planned.Definition, planned.Stage, candidates.Count,
                call => planned.Stage.ScoreAsync(query, candidates, call), _ => candidates.Count);
            if (ran) update!();
        }
    }

    public Selection Select(PlannedStage<ISelector> planned, IReadOnlyList<FeedCandidate> candidates)
    {
        using Activity? span = Spans.StartActivity(planned.Definition.Name);
        long started = clock.GetTimestamp();
        Selection selection = planned.Stage.Select(query, candidates);
        Record(planned.Definition.Name, started, span, candidates.Count, selection.Selected.Count);
        return selection;
    }

    public FeedSlate Finish(Selection selection)
    {
        // An empty page says why: nothing was found, or the filters left nothing of what was.
        if (_found == 0) Degrade(new Degradation("sources", "no source found a candidate"), "empty");
        else if (selection.Selected.Count == 0)
            Degrade(new Degradation("filters", $"all {_removed.Count} candidates were removed"), "empty");

        TimeSpan elapsed = clock.GetElapsedTime(_started);
        Dictionary<string, double> timingsMs;
        lock (_timingsMs)
        {
            // A copy: what runs beside may end while the page is written.
            timingsMs = new Dictionary<string, double>(_timingsMs, StringComparer.Ordinal) { ["total"] = Math.Round(elapsed.TotalMilliseconds, 2) };
        }

        string outcome = selection.Selected.Count == 0 ? "empty" : _degraded.Count > 0 ? "degraded" : "full";
        metrics.FeedServed(outcome, selection.Selected.Count, elapsed);
        return new FeedSlate(query, selection.Selected, selection.Reserve, _removed, _removedCounts, _degraded, timingsMs);
    }

    public void Dispose()
    {
        _ended.Cancel();
        _ended.Dispose();
    }

    private async Task<Action<FeedQuery>?> PrepareAsync(PlannedStage<IPreparation> planned)
    {
        try
        {
            return (await RunOneAsync(planned.Definition, planned.Stage, 0, call => planned.Stage.PrepareAsync(query, call), _ => 0)).Result;
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <summary>Runs stages in order; neighbours marked parallel run together. Yields the results of those that succeeded.</summary>
    private async IAsyncEnumerable<(StageDefinition Definition, TResult Result)> RunGroupsAsync<TStage, TResult>(
        IReadOnlyList<PlannedStage<TStage>> stages, int candidatesIn, Func<TStage, StageCall, Task<TResult>> work, Func<TResult, int> count)
        where TStage : IStage
    {
        for (int i = 0; i < stages.Count;)
        {
            int end = i + 1;
            while (stages[i].Definition.Parallel && end < stages.Count && stages[end].Definition.Parallel) end++;
            PlannedStage<TStage>[] group = [.. stages.Skip(i).Take(end - i).Where(planned => planned.Stage.IsEnabled(query))];
            (bool Ran, TResult? Result)[] outcomes = await Task.WhenAll(
                group.Select(planned =>
                    RunOneAsync(planned.Definition, planned.Stage, candidatesIn, call => work(planned.Stage, call), count)));
            for (int j = 0; j < group.Length; j++)
            {
                if (outcomes[j].Ran) yield return (group[j].Definition, outcomes[j].Result!);
            }

            i = end;
        }
    }

    private async Task<(bool Ran, T? Result)> RunOneAsync<T>(
        StageDefinition stage, IStage code, int candidatesIn, Func<StageCall, Task<T>> work, Func<T, int> count)
    {
        using Activity? span = Spans.StartActivity(stage.Name);
        long started = clock.GetTimestamp();
        TimeSpan left = budget - clock.GetElapsedTime(_started);
        TimeSpan time = code.IsHop && left < stage.Timeout ? left : stage.Timeout;
        if (time <= TimeSpan.Zero) return Fail<T>(stage, code, "late", "the request's budget was spent before it could start", null);

        // Only a hop can be late; stages in memory get no timer of their own.
        using var timeout = code.IsHop ? new CancellationTokenSource(time, clock) : new CancellationTokenSource();
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _ended.Token);
        try
        {
            // WaitAsync: a stage that ignores its token is left behind, not waited for.
            T result = await work(new StageCall(time, linked.Token, () => time - clock.GetElapsedTime(started))).WaitAsync(linked.Token);
            Record(stage.Name, started, span, candidatesIn, count(result));
            health.Succeeded(stage.Name);
            return (true, result);
        }
        catch (Exception exception) when (!_ended.IsCancellationRequested)
        {
            Record(stage.Name, started, span, candidatesIn, 0);
            bool late = timeout.IsCancellationRequested || exception is ServiceUnavailableException { IsLate: true };
            return late
                ? Fail<T>(stage, code, "late", $"no answer within {time.TotalMilliseconds:0} ms", null)
                : Fail<T>(stage, code, "failed", Reason(exception), exception);
        }
    }

    private (bool, T?) Fail<T>(StageDefinition stage, IStage code, string kind, string reason, Exception? exception)
    {
        var degradation = new Degradation(stage.Name, reason);
        if (code.OnlySavesTime)
        {
            if (!_taken) metrics.ServedWithout(stage.Name, kind); // else it was counted as late by then
        }
        else lock (query.Failed)
        {
            // Stages of one parallel group may fail at the same time.
            query.Failed.Add(stage.Name);
            Degrade(degradation, kind);
        }

        health.Failed(stage.Name, reason, exception is null or ServiceUnavailableException or StageException ? null : exception);
        return stage.OnFailure == OnFailure.FailRequest ? throw new StageFailedException(degradation) : (false, default);
    }

    private void Degrade(Degradation degradation, string kind)
    {
        if (!_degraded.Contains(degradation)) _degraded.Add(degradation);
        metrics.ServedWithout(degradation.Stage, kind);
    }

    private void Record(string stage, long started, Activity? span, int candidatesIn, int candidatesOut)
    {
        TimeSpan elapsed = clock.GetElapsedTime(started);
        span?.SetTag("candidates.in", candidatesIn).SetTag("candidates.out", candidatesOut);
        metrics.StageRan(stage, elapsed, candidatesIn, candidatesOut);
        lock (_timingsMs) _timingsMs[stage] = Math.Round(_timingsMs.GetValueOrDefault(stage) + elapsed.TotalMilliseconds, 2);
    }

    private static string Reason(Exception exception) =>
        exception is ServiceUnavailableException or StageException ? exception.Message : "the stage failed; see the gateway's log";
}
