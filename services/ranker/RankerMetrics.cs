using System.Diagnostics.Metrics;

namespace Mesh.Ranker;

internal sealed class RankerMetrics
{
    private readonly Histogram<double> _duration;
    private readonly Histogram<int> _candidates;
    private readonly Counter<long> _rejected;

    public RankerMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("Mesh.Ranker");
        _duration = meter.CreateHistogram<double>("mesh.ranker.score.duration", "s", "Time to score the candidates of one request.");
        _candidates = meter.CreateHistogram<int>("mesh.ranker.score.candidates", "{candidate}", "Candidates of one request.");
        _rejected = meter.CreateCounter<long>("mesh.ranker.requests.rejected", "{request}", "Requests with a fault of the caller's.");
    }

    public void Scored(TimeSpan elapsed, int candidates, string modelVersion)
    {
        var model = new KeyValuePair<string, object?>("model_version", modelVersion);
        _duration.Record(elapsed.TotalSeconds, model);
        _candidates.Record(candidates, model);
    }

    public void Rejected() => _rejected.Add(1);
}
