using Mesh.Contracts;
using Mesh.SequenceStore.Sequences;

namespace Mesh.SequenceStore.Training;

/// <summary>
/// Joins one user's log to that user's requests. What a row may learn from lies strictly before the request and is not of
/// the request: an event that names it is a label, even where the client's clock dated it before the page was served.
/// </summary>
internal sealed class JoinedLog(LoggedEvent[] events)
{
    private static readonly int Dwell = ActionTaxonomy.Default.IndexOf("dwell");

    private readonly ILookup<Ulid, LoggedEvent> _byRequest = events.Where(logged => logged.RequestId != Ulid.Empty).ToLookup(logged => logged.RequestId);

    public TrainingRow RowOf(RequestLogEntry entry, TrainingQuery query)
    {
        Ulid requestId = Ulid.Parse(entry.RequestId);
        var row = new TrainingRow
        {
            RequestId = requestId.ToString(),
            UserId = entry.UserId,
            TimeMs = entry.TimeMs,
            Surface = entry.Surface,
            Sequence = SequenceReader.SequenceOf(Before(entry.TimeMs, requestId, query.EventsMax)),
            ModelVersion = entry.ModelVersion,
            IndexVersion = entry.IndexVersion,
        };
        row.Arms.Add(entry.Arms);

        ILookup<string, LoggedEvent> labels = _byRequest[requestId]
            .Where(logged => logged.Action < ActionTaxonomy.Default.Count && logged.Key.TimeMs - entry.TimeMs <= query.WindowMs).ToLookup(logged => logged.ItemId);
        int unserved = query.UnservedMax;
        foreach (LoggedCandidate candidate in entry.Candidates.OrderByDescending(candidate => candidate.Served))
        {
            if (candidate.Served || unserved-- > 0) row.Candidates.Add(Labelled(candidate, labels[candidate.ItemId]));
        }

        return row;
    }

    private static TrainingCandidate Labelled(LoggedCandidate candidate, IEnumerable<LoggedEvent> labels)
    {
        var labelled = new TrainingCandidate
        {
            ItemId = candidate.ItemId,
            Served = candidate.Served,
            Score = candidate.Score,
            InNetwork = candidate.InNetwork,
            Counters = candidate.Counters,
        };
        foreach (LoggedEvent label in labels)
        {
            if (label.Action == Dwell) labelled.DwellSeconds = Math.Max(labelled.DwellSeconds, label.Value);
            if (!labelled.Actions.Contains(label.Action)) labelled.Actions.Add(label.Action);
        }

        return labelled;
    }

    private LoggedEvent[] Before(long timeMs, Ulid requestId, int count)
    {
        var newest = new List<LoggedEvent>();
        for (int i = SequenceReader.CountUntil(events, timeMs - 1) - 1; i >= 0 && newest.Count < count; i--)
        {
            if (events[i].RequestId != requestId) newest.Add(events[i]);
        }

        newest.Reverse();
        return [.. newest];
    }
}
