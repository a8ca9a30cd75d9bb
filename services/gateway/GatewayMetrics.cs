using System.Diagnostics.Metrics;

namespace Mesh.Gateway;

/// <summary>What the gateway measures. Tags are stage, filter, topic and outcome names: all from the YAML file or from code.</summary>
internal sealed class GatewayMetrics
{
    private readonly Histogram<double> _feedDuration;
    private readonly Histogram<double> _stageDuration;
    private readonly Histogram<long> _feedItems;
    private readonly Counter<long> _feeds;
    private readonly Counter<long> _candidatesIn;
    private readonly Counter<long> _candidatesOut;
    private readonly Counter<long> _removed;
    private readonly Counter<long> _servedWithout;
    private readonly Counter<long> _shardsLeftOut;
    private readonly Counter<long> _contexts;
    private readonly Counter<long> _contextBytes;
    private readonly Counter<long> _rowsAccepted;
    private readonly Counter<long> _rowsRejected;
    private readonly Counter<long> _sideEffectsDropped;
    private readonly Counter<long> _sideEffectsFailed;

    public GatewayMetrics(IMeterFactory meters)
    {
        Meter meter = meters.Create("Mesh.Gateway");
        _feedDuration = meter.CreateHistogram<double>(
            "mesh.gateway.feed.duration", unit: "s", description: "Time of the pipeline for one feed page.");
        _feedItems = meter.CreateHistogram<long>("mesh.gateway.feed.items", unit: "{item}", description: "Items of a served page.");
        _feeds = meter.CreateCounter<long>(
            "mesh.gateway.feed.requests", unit: "{request}", description: "Feed pages, by outcome: full, degraded, empty, failed.");
        _stageDuration = meter.CreateHistogram<double>(
            "mesh.gateway.stage.duration", unit: "s", description: "Time of one stage, by stage.");
        _candidatesIn = meter.CreateCounter<long>(
            "mesh.gateway.stage.candidates_in", unit: "{candidate}", description: "Candidates that entered a stage.");
        _candidatesOut = meter.CreateCounter<long>(
            "mesh.gateway.stage.candidates_out", unit: "{candidate}", description: "Candidates that left a stage.");
        _removed = meter.CreateCounter<long>(
            "mesh.gateway.filter.removed", unit: "{candidate}", description: "Candidates removed, by filter.");
        _servedWithout = meter.CreateCounter<long>(
            "mesh.gateway.stage.served_without", unit: "{request}", description: "Pages served without a stage, by stage and reason: late, failed.");
        _shardsLeftOut = meter.CreateCounter<long>(
            "mesh.gateway.shard.left_out", unit: "{call}", description: "Answers of the index without a shard, by app and reason: late, failed, model.");
        _contexts = meter.CreateCounter<long>(
            "mesh.gateway.context.scored", unit: "{request}",
            description: "Requests that the ranker scored, by what became of the prepared context: used, missing (sent again), stale (another model), none.");
        _contextBytes = meter.CreateCounter<long>(
            "mesh.gateway.context.bytes_saved", unit: "By", description: "Bytes of sequence and history that scoring did not send again.");
        _rowsAccepted = meter.CreateCounter<long>(
            "mesh.gateway.rows.accepted", unit: "{row}", description: "Rows that the broker holds, by topic.");
        _rowsRejected = meter.CreateCounter<long>(
            "mesh.gateway.rows.rejected", unit: "{row}", description: "Rows not taken, by topic and by whose fault: caller, broker.");
        _sideEffectsDropped = meter.CreateCounter<long>(
            "mesh.gateway.side_effects.dropped", unit: "{page}", description: "Pages whose side effects a full queue dropped.");
        _sideEffectsFailed = meter.CreateCounter<long>(
            "mesh.gateway.side_effects.failed", unit: "{page}", description: "Side effects that failed, by stage.");
    }

    public void FeedServed(string outcome, int items, TimeSpan elapsed)
    {
        _feeds.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        _feedItems.Record(items);
        _feedDuration.Record(elapsed.TotalSeconds);
    }

    public void FeedFailed() => _feeds.Add(1, new KeyValuePair<string, object?>("outcome", "failed"));

    public void StageRan(string stage, TimeSpan elapsed, int candidatesIn, int candidatesOut)
    {
        var tag = new KeyValuePair<string, object?>("stage", stage);
        _stageDuration.Record(elapsed.TotalSeconds, tag);
        if (candidatesIn > 0) _candidatesIn.Add(candidatesIn, tag);
        if (candidatesOut > 0) _candidatesOut.Add(candidatesOut, tag);
    }

    public void Removed(string filter, int count)
    {
        if (count > 0) _removed.Add(count, new KeyValuePair<string, object?>("filter", filter));
    }

    public void ServedWithout(string stage, string reason) =>
        _servedWithout.Add(1, new KeyValuePair<string, object?>("stage", stage), new KeyValuePair<string, object?>("reason", reason));

    public void ShardLeftOut(string appId, string reason) =>
        _shardsLeftOut.Add(1, new KeyValuePair<string, object?>("app", appId), new KeyValuePair<string, object?>("reason", reason));

    public void ContextScored(string outcome, int bytesSaved)
    {
        _contexts.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        if (bytesSaved > 0) _contextBytes.Add(bytesSaved);
    }

    public void RowsAccepted(string topic, int count)
    {
        if (count > 0) _rowsAccepted.Add(count, new KeyValuePair<string, object?>("topic", topic));
    }

    public void RowsRejected(string topic, string fault, int count)
    {
        if (count > 0)
            _rowsRejected.Add(count, new KeyValuePair<string, object?>("topic", topic), new KeyValuePair<string, object?>("fault", fault));
    }

    public void SideEffectsDropped() => _sideEffectsDropped.Add(1);

    public void SideEffectFailed(string stage) => _sideEffectsFailed.Add(1, new KeyValuePair<string, object?>("stage", stage));
}
