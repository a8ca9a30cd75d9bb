using System.Diagnostics.Metrics;
using Mesh.Contracts;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker;

internal sealed class RankerMetrics
{
    private readonly Histogram<double> _duration;
    private readonly Histogram<int> _candidates;
    private readonly Counter<long> _rejected;
    private readonly Counter<long> _fallbacks;
    private readonly Histogram<double> _prepareDuration;
    private readonly Counter<long> _contextLookups;
    private readonly Histogram<double> _encodeDuration;
    private readonly Counter<long> _cachedScores;
    private readonly Histogram<double> _batchDuration;
    private readonly Histogram<double> _batchWait;
    private readonly Histogram<int> _batchCandidates;
    private readonly Histogram<int> _batchRequests;
    private readonly Counter<long> _modelChanges;
    private readonly Meter _meter;
    private int _modelsLoaded; // written by the model set, read by whoever collects

    public RankerMetrics(IMeterFactory meters)
    {
        Meter meter = _meter = meters.Create("Mesh.Ranker");
        _duration = meter.CreateHistogram<double>("mesh.ranker.score.duration", "s", "Time to score the candidates of one request.");
        _candidates = meter.CreateHistogram<int>("mesh.ranker.score.candidates", "{candidate}", "Candidates of one request.");
        _rejected = meter.CreateCounter<long>("mesh.ranker.requests.rejected", "{request}", "Requests with a fault of the caller's.");
        _fallbacks = meter.CreateCounter<long>("mesh.ranker.fallbacks", "{request}", "Requests for the transformer that the heuristic scored, by reason.");
        _prepareDuration = meter.CreateHistogram<double>("mesh.ranker.prepare.duration", "s", "Time to have one sequence encoded.");
        _contextLookups = meter.CreateCounter<long>("mesh.ranker.context.lookups", "{context}", "Encoded sequences asked for, by outcome.");
        _encodeDuration = meter.CreateHistogram<double>("mesh.ranker.encode.duration", "s", "Time of one run of the context graph.");
        _cachedScores = meter.CreateCounter<long>("mesh.ranker.score_cache.lookups", "{candidate}", "Scores asked of the cache, by outcome.");
        _batchDuration = meter.CreateHistogram<double>("mesh.ranker.batch.duration", "s", "Time of one run of the candidates graph.");
        _batchWait = meter.CreateHistogram<double>("mesh.ranker.batch.wait", "s", "Time from the queue into a run.");
        _batchCandidates = meter.CreateHistogram<int>("mesh.ranker.batch.candidates", "{candidate}", "Candidates of one run.");
        _batchRequests = meter.CreateHistogram<int>("mesh.ranker.batch.requests", "{request}", "Requests that share one run.");
        _modelChanges = meter.CreateCounter<long>("mesh.ranker.model.changes", "{model}", "Model versions loaded or refused.");
        meter.CreateObservableGauge("mesh.ranker.models.loaded", () => Volatile.Read(ref _modelsLoaded), "{model}", "Model versions that can score.");
    }

    public int ModelsLoaded
    {
        set => Volatile.Write(ref _modelsLoaded, value);
    }

    /// <summary>Has the sizes of caches and queue collected. Once, at start.</summary>
    public void Watch(ContextCache contexts, ScoreCache scores, CandidateBatcher batcher)
    {
        _meter.CreateObservableGauge("mesh.ranker.context.entries", () => contexts.Count, "{context}", "Encoded sequences held.");
        _meter.CreateObservableGauge("mesh.ranker.context.bytes", () => contexts.Bytes, "By", "Bytes of encoded sequences, estimated.");
        _meter.CreateObservableGauge("mesh.ranker.score_cache.bytes", () => scores.Bytes, "By", "Bytes of scores, estimated.");
        _meter.CreateObservableGauge("mesh.ranker.queue.candidates", () => batcher.QueuedRows, "{candidate}", "Candidates that wait for a run.");
    }

    public void Scored(TimeSpan elapsed, ScoreResponse response)
    {
        var model = new KeyValuePair<string, object?>("model_version", response.ModelVersion);
        _duration.Record(elapsed.TotalSeconds, model);
        _candidates.Record(response.Scores.Count, model);
    }

    public void Rejected() => _rejected.Add(1);

    public void FellBack(string reason) => _fallbacks.Add(1, new KeyValuePair<string, object?>("reason", reason));

    public void Prepared(TimeSpan elapsed, bool cached) => _prepareDuration.Record(elapsed.TotalSeconds, new KeyValuePair<string, object?>("cached", cached));

    public void ContextLookedUp(string outcome) => _contextLookups.Add(1, Outcome(outcome));

    public void Encoded(TimeSpan elapsed) => _encodeDuration.Record(elapsed.TotalSeconds);

    public void ScoresLookedUp(ScorePlan plan)
    {
        int misses = plan.Mine.Count - plan.EarlyRefreshes, hits = plan.Hits.Length - plan.Mine.Count - plan.Joined.Count;
        if (hits > 0) _cachedScores.Add(hits, Outcome("hit"));
        if (misses > 0) _cachedScores.Add(misses, Outcome("miss"));
        if (plan.Joined.Count > 0) _cachedScores.Add(plan.Joined.Count, Outcome("joined"));
        if (plan.EarlyRefreshes > 0) _cachedScores.Add(plan.EarlyRefreshes, Outcome("early_refresh"));
    }

    public void Waited(TimeSpan elapsed) => _batchWait.Record(elapsed.TotalSeconds);

    public void BatchRan(TimeSpan elapsed, int candidates, int requests)
    {
        _batchDuration.Record(elapsed.TotalSeconds);
        _batchCandidates.Record(candidates);
        _batchRequests.Record(requests);
    }

    public void ModelChanged(string outcome) => _modelChanges.Add(1, Outcome(outcome));

    private static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);
}
