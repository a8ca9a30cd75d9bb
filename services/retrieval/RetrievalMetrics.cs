using System.Diagnostics.Metrics;
using Mesh.Retrieval.Deltas;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval;

/// <summary>Instruments of this service; docs/metrics.md lists them.</summary>
internal sealed class RetrievalMetrics
{
    private readonly Histogram<double> _sourceDuration;
    private readonly Histogram<int> _sourceCandidates;
    private readonly Counter<long> _sourceFailures;
    private readonly Counter<long> _rejected;
    private readonly Histogram<double> _deltaLag;
    private readonly Counter<long> _deltasApplied;
    private readonly Counter<long> _deltasDiscarded;
    private readonly Counter<long> _rowsRefused;
    private readonly Counter<long> _rowsOfOtherModel;
    private readonly Histogram<double> _towerDuration;
    private readonly Counter<long> _towerFallbacks;
    private readonly Counter<long> _gapsRepaired;
    private readonly Counter<long> _swaps;
    private readonly Counter<long> _valueChanges;
    private readonly Counter<long> _valuesNotFinite;

    public RetrievalMetrics(IMeterFactory meters, IndexHolder holder, FollowerState state)
    {
        Meter meter = meters.Create("Mesh.Retrieval");
        _sourceDuration = meter.CreateHistogram<double>("mesh.retrieval.source.duration", "s", "Time one source took for one request.");
        _sourceCandidates = meter.CreateHistogram<int>("mesh.retrieval.source.candidates", "{candidate}", "Candidates one source found for one request.");
        _sourceFailures = meter.CreateCounter<long>("mesh.retrieval.source.failures", "{request}", "Requests that went on without a source.");
        _rejected = meter.CreateCounter<long>("mesh.retrieval.request.rejected", "{request}", "Retrieve calls turned away because too many were running.");
        _deltaLag = meter.CreateHistogram<double>("mesh.retrieval.delta.lag", "s", "Time from the event at the gateway to the delta being retrievable.");
        _deltasApplied = meter.CreateCounter<long>("mesh.retrieval.delta.applied", "{delta}", "Deltas applied, replayed ones included.");
        _deltasDiscarded = meter.CreateCounter<long>("mesh.retrieval.delta.discarded", "{delta}", "Deltas not held for lack of room; they are fetched again.");
        _rowsRefused = meter.CreateCounter<long>("mesh.retrieval.row.refused", "{item}", "Items the index refused: no room, or a vector that does not fit.");
        _rowsOfOtherModel = meter.CreateCounter<long>("mesh.retrieval.row.other_model", "{item}", "Rows not taken because they are of another model than the index.");
        _towerDuration = meter.CreateHistogram<double>("mesh.retrieval.tower.duration", "s", "Time to make one user's query vectors by the user tower.");
        _towerFallbacks = meter.CreateCounter<long>(
            "mesh.retrieval.tower.fallbacks", "{request}", "Requests whose query vectors are means of the history though there is a tower, by reason: late, failed.");
        _gapsRepaired = meter.CreateCounter<long>("mesh.retrieval.gap.repaired", "{gap}", "Ranges of deltas that never arrived and were fetched from index-updater.");
        _swaps = meter.CreateCounter<long>("mesh.retrieval.snapshot.swaps", "{swap}", "Indexes swapped in: snapshots and compactions.");
        _valueChanges = meter.CreateCounter<long>("mesh.retrieval.value.changes", "{change}", "Changes of the value formulas, by outcome: taken, refused.");
        _valuesNotFinite = meter.CreateCounter<long>("mesh.retrieval.value.not_finite", "{candidate}", "Candidates whose value was not finite and so the worst.");
        meter.CreateObservableGauge("mesh.retrieval.index.items", () => holder.Current?.Items ?? 0, "{item}", "Items in the index.");
        meter.CreateObservableGauge("mesh.retrieval.index.tombstones", () => holder.Current?.Vectors.Tombstones ?? 0, "{slot}", "Dead vector slots.");
        meter.CreateObservableGauge(
            "mesh.retrieval.index.clusters", () => (holder.Current?.Vectors as ClusteredVectorIndex)?.Clusters.Length ?? 0, "{cluster}", "Clusters made since the index was; room is used up at ClustersMax.");
        meter.CreateObservableGauge("mesh.retrieval.index.bytes", () => holder.Current?.Bytes ?? 0, "By", "Heap bytes of the index.");
        meter.CreateObservableGauge("mesh.retrieval.index.behind", () => state.Behind(holder.Current), "{delta}", "Deltas known of and not yet applied.");
    }

    public void SourceAsked(string source, TimeSpan elapsed, int count, bool failed)
    {
        var tag = new KeyValuePair<string, object?>("source", source);
        _sourceDuration.Record(elapsed.TotalSeconds, tag);
        if (failed) _sourceFailures.Add(1, tag);
        else _sourceCandidates.Record(count, tag);
    }

    public void RequestRejected() => _rejected.Add(1);

    public void DeltaLag(TimeSpan lag) => _deltaLag.Record(lag.TotalSeconds);

    public void DeltasApplied(long count) => _deltasApplied.Add(count);

    public void DeltasDiscarded(int count) => _deltasDiscarded.Add(count);

    public void RowRefused() => _rowsRefused.Add(1);

    public void RowOfOtherModel() => _rowsOfOtherModel.Add(1);

    public void TowerAsked(TimeSpan elapsed) => _towerDuration.Record(elapsed.TotalSeconds);

    /// <param name="reason">"late" or "failed".</param>
    public void TowerFellBack(string reason) => _towerFallbacks.Add(1, new KeyValuePair<string, object?>("reason", reason));

    /// <param name="cause">"gap": later deltas showed it; "probe": the comparison with the head did.</param>
    public void GapRepaired(string cause) => _gapsRepaired.Add(1, new KeyValuePair<string, object?>("cause", cause));

    /// <param name="outcome">"taken" or "refused".</param>
    public void ValueFormulasChanged(string outcome) => _valueChanges.Add(1, new KeyValuePair<string, object?>("outcome", outcome));

    public void ValuesNotFinite(string source, int count) => _valuesNotFinite.Add(count, new KeyValuePair<string, object?>("source", source));

    public void Swapped(string cause) => _swaps.Add(1, new KeyValuePair<string, object?>("cause", cause));
}
