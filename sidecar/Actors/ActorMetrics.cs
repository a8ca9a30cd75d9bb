using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Mesh.Sidecar.Actors;

/// <summary>Actors as their hosts see them; one instance for all sidecars of a process.</summary>
internal sealed class ActorMetrics : IDisposable
{
    private readonly Meter _meter = new("Mesh.Sidecar");
    private readonly Histogram<double> _turn;
    private readonly Histogram<double> _queueWait;
    private readonly UpDownCounter<long> _active;
    private readonly Counter<long> _fired;
    private readonly Histogram<double> _lateness;

    public ActorMetrics()
    {
        _turn = _meter.CreateHistogram<double>("mesh.sidecar.actor.turn", unit: "s", description: "Length of a turn, by type and outcome.");
        _queueWait = _meter.CreateHistogram<double>("mesh.sidecar.actor.queue_wait", unit: "s", description: "Wait for a turn, where there was one.");
        _active = _meter.CreateUpDownCounter<long>("mesh.sidecar.actor.active", unit: "{actor}", description: "Active actors by type.");
        _fired = _meter.CreateCounter<long>("mesh.sidecar.reminder.fired", unit: "{reminder}", description: "Reminder calls by type and outcome.");
        _lateness = _meter.CreateHistogram<double>("mesh.sidecar.reminder.lateness", unit: "s", description: "From due time to call.");
    }

    public void Turned(string type, string outcome, TimeSpan elapsed) => _turn.Record(elapsed.TotalSeconds, new TagList { { "type", type }, { "outcome", outcome } });

    public void Waited(string type, TimeSpan elapsed) => _queueWait.Record(elapsed.TotalSeconds, new KeyValuePair<string, object?>("type", type));

    public void Activated(string type, int change) => _active.Add(change, new KeyValuePair<string, object?>("type", type));

    public void Fired(string type, string outcome, TimeSpan late)
    {
        _fired.Add(1, new TagList { { "type", type }, { "outcome", outcome } });
        _lateness.Record(late.TotalSeconds, new KeyValuePair<string, object?>("type", type));
    }

    public void Dispose() => _meter.Dispose();
}
