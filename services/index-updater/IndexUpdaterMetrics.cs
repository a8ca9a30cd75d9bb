using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Mesh.Contracts;

namespace Mesh.IndexUpdater;

/// <summary>What this service counts, recorded in the replica whose actor did the work.</summary>
internal sealed class IndexUpdaterMetrics
{
    private readonly Counter<long> _appended;
    private readonly Counter<long> _ignored;
    private readonly Counter<long> _dropped;
    private readonly Histogram<double> _appendDuration;
    private readonly Histogram<double> _eventLag;
    private readonly Histogram<double> _snapshotDuration;
    private readonly Histogram<long> _snapshotBytes;
    private readonly Histogram<long> _snapshotItems;
    private readonly Counter<long> _snapshotFailures;
    private readonly Counter<long> _modelsRefused;
    private readonly Counter<long> _switches;
    private readonly Counter<long> _notEncoded;
    private readonly ConcurrentDictionary<uint, long> _rowsToEncode = new();

    public IndexUpdaterMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("Mesh.IndexUpdater");
        _appended = meter.CreateCounter<long>("mesh.index_updater.deltas.appended", "{delta}", "Deltas stored in the log, by kind.");
        _ignored = meter.CreateCounter<long>("mesh.index_updater.events.ignored", "{event}", "Events that were known already or older than what is known.");
        _dropped = meter.CreateCounter<long>("mesh.index_updater.events.dropped", "{event}", "Events that can never be applied.");
        _appendDuration = meter.CreateHistogram<double>("mesh.index_updater.append.duration", "s", "Time to store and publish one turn.");
        _eventLag = meter.CreateHistogram<double>("mesh.index_updater.event.lag", "s", "Accepted by the gateway to stored in the log.");
        _snapshotDuration = meter.CreateHistogram<double>("mesh.index_updater.snapshot.duration", "s", "Time to make and publish one snapshot.");
        _snapshotBytes = meter.CreateHistogram<long>("mesh.index_updater.snapshot.bytes", "By", "Size of a snapshot, all files.");
        _snapshotItems = meter.CreateHistogram<long>("mesh.index_updater.snapshot.items", "{item}", "Rows of a snapshot.");
        _snapshotFailures = meter.CreateCounter<long>("mesh.index_updater.snapshot.failures", "{snapshot}", "Snapshots that were begun and not finished.");
        _modelsRefused = meter.CreateCounter<long>("mesh.index_updater.model.refused", "{model}", "Models that were to go live and are unknown or broken.");
        _switches = meter.CreateCounter<long>("mesh.index_updater.model.switches", "{switch}", "Times a shard went over to another model, by outcome: live, failed.");
        _notEncoded = meter.CreateCounter<long>(
            "mesh.index_updater.model.not_encoded", "{item}", "Items that the model gave no finite vector or unknown codes; they are kept without.");
        meter.CreateObservableGauge(
            "mesh.index_updater.model.rows_left", () => _rowsToEncode.Values.Sum(), "{item}", "Rows still to be encoded for the model that shall go live.");
    }

    public void Appended(IReadOnlyList<IndexDelta> deltas, int ignored, TimeSpan elapsed, long nowMs)
    {
        foreach (IGrouping<IndexDelta.DeltaOneofCase, IndexDelta> kind in deltas.GroupBy(delta => delta.DeltaCase))
        {
            _appended.Add(kind.Count(), new KeyValuePair<string, object?>("kind", kind.Key.ToString()));
        }

        foreach (IndexDelta delta in deltas.Where(delta => delta.EventTimeMs > 0)) _eventLag.Record(Math.Max(0, nowMs - delta.EventTimeMs) / 1000.0);
        if (ignored > 0) _ignored.Add(ignored);
        _appendDuration.Record(elapsed.TotalSeconds);
    }

    public void Dropped() => _dropped.Add(1);

    public void SnapshotMade(SnapshotManifest manifest, TimeSpan elapsed)
    {
        _snapshotDuration.Record(elapsed.TotalSeconds);
        _snapshotBytes.Record(manifest.Files.Sum(file => file.Bytes));
        _snapshotItems.Record(manifest.Items);
    }

    public void SnapshotFailed() => _snapshotFailures.Add(1);

    public void ModelRefused() => _modelsRefused.Add(1);

    public void ModelSwitched(bool isLive) => _switches.Add(1, new KeyValuePair<string, object?>("outcome", isLive ? "live" : "failed"));

    public void NotEncoded(int items) => _notEncoded.Add(items);

    public void RowsToEncode(uint shard, int left) => _rowsToEncode[shard] = left;
}
