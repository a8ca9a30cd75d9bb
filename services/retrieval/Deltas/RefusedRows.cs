namespace Mesh.Retrieval.Deltas;

/// <summary>
/// Rows that the index did not take. Each is counted; one log line per look names how many and the last of them, because
/// a full index refuses thousands in a row.
/// </summary>
internal sealed class RefusedRows(RetrievalMetrics metrics, ILogger<RefusedRows> logger)
{
    private readonly Lock _gate = new();
    private int _count;
    private string _last = "";

    public void Note(string itemId, string reason)
    {
        metrics.RowRefused();
        lock (_gate)
        {
            _count++;
            _last = $"item {itemId}: {reason}";
        }
    }

    public void Report()
    {
        int count;
        string last;
        lock (_gate)
        {
            (count, last) = (_count, _last);
            _count = 0;
        }

        if (count > 0) Log.RowsRefused(logger, count, last);
    }
}
