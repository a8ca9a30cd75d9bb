using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Mesh.Sidecar.Invocation;

/// <summary>Service invocation as counted by the callers' sidecars; one instance for all sidecars of a process.</summary>
internal sealed class InvocationMetrics : IDisposable
{
    private readonly Meter _meter = new("Mesh.Sidecar");
    private readonly Counter<long> _calls;
    private readonly Histogram<double> _duration;

    public InvocationMetrics()
    {
        _calls = _meter.CreateCounter<long>("mesh.sidecar.invocation.calls", unit: "{call}", description: "Calls by callee and status; status 0 = none came.");
        _duration = _meter.CreateHistogram<double>(
            "mesh.sidecar.invocation.duration", unit: "s", description: "Time until the callee's answer had passed.");
    }

    public void Called(string callee, int status, TimeSpan elapsed)
    {
        var tags = new TagList { { "callee", callee }, { "status", status } };
        _calls.Add(1, tags);
        _duration.Record(elapsed.TotalSeconds, tags);
    }

    public void Dispose() => _meter.Dispose();
}
