using System.Diagnostics.Metrics;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore;

/// <summary>What this service counts. Recorded where the events became durable: in the replica whose actor wrote them.</summary>
internal sealed class SequenceMetrics
{
    private readonly Counter<long> _appended;
    private readonly Counter<long> _duplicates;
    private readonly Counter<long> _late;
    private readonly Counter<long> _dropped;
    private readonly Histogram<int> _batchSize;
    private readonly Histogram<double> _eventLag;
    private readonly Histogram<double> _contextDuration;
    private readonly Counter<long> _trainingRows;
    private long _appendedTotal;
    private long _duplicatesTotal;
    private long _lastEventLagMs;

    public SequenceMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("Mesh.SequenceStore");
        _appended = meter.CreateCounter<long>("mesh.sequence_store.events.appended", "{event}", "Events that became durable.");
        _duplicates = meter.CreateCounter<long>("mesh.sequence_store.events.duplicates", "{event}", "Events that were there already.");
        _late = meter.CreateCounter<long>("mesh.sequence_store.events.late", "{event}", "Appended events that went into a sealed chunk.");
        _dropped = meter.CreateCounter<long>("mesh.sequence_store.events.dropped", "{event}", "Events not stored, by reason: poison, expired.");
        _batchSize = meter.CreateHistogram<int>("mesh.sequence_store.append.size", "{event}", "Events of one user in one append.");
        _eventLag = meter.CreateHistogram<double>("mesh.sequence_store.event.lag", "s", "Accepted by the gateway to durable here.");
        _contextDuration = meter.CreateHistogram<double>("mesh.sequence_store.context.duration", "s", "Time to read one user's context.");
        _trainingRows = meter.CreateCounter<long>("mesh.sequence_store.training.rows", "{row}", "Training rows that were joined and sent.");
    }

    public long EventsAppended => Interlocked.Read(ref _appendedTotal);

    public long Duplicates => Interlocked.Read(ref _duplicatesTotal);

    /// <summary>Lag of the event that became durable last, in milliseconds.</summary>
    public long LastEventLagMs => Interlocked.Read(ref _lastEventLagMs);

    public void Appended(AppendOutcome outcome, IReadOnlyList<IncomingEvent> added, long nowMs)
    {
        _batchSize.Record(outcome.Added + outcome.Duplicates + outcome.Expired);
        _appended.Add(outcome.Added);
        _duplicates.Add(outcome.Duplicates);
        _late.Add(outcome.Late);
        if (outcome.Expired > 0) _dropped.Add(outcome.Expired, new KeyValuePair<string, object?>("reason", "expired"));
        Interlocked.Add(ref _appendedTotal, outcome.Added);
        Interlocked.Add(ref _duplicatesTotal, outcome.Duplicates);
        foreach (IncomingEvent incoming in added.Where(incoming => incoming.ReceivedAtMs > 0))
        {
            long lagMs = Math.Max(0, nowMs - incoming.ReceivedAtMs);
            _eventLag.Record(lagMs / 1000.0);
            Interlocked.Exchange(ref _lastEventLagMs, lagMs);
        }
    }

    public void Poison() => _dropped.Add(1, new KeyValuePair<string, object?>("reason", "poison"));

    public void TrainingRowSent() => _trainingRows.Add(1);

    public void ContextRead(TimeSpan elapsed) => _contextDuration.Record(elapsed.TotalSeconds);
}
