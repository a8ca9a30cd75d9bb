namespace Mesh.Retrieval.Index;

/// <summary>
/// Rows in order of arrival, appended by one writer and read by anyone without a lock. A reader takes one view: an array
/// with a count that only grows. Growth and clean-up publish a new view; readers of the old one are not disturbed.
/// </summary>
internal sealed class RowList
{
    private const int CapacityMin = 8;

    private volatile View _view; // written by the writer, read by every request
    private int _dead;                                          // writer only

    public RowList() => _view = new View(new Row[CapacityMin], 0);

    /// <summary>A list of these rows, which becomes the list's own.</summary>
    public RowList(Row[] rows) => _view = new View(rows, rows.Length);

    /// <summary>Rows as of now, oldest first, dead ones included.</summary>
    public ReadOnlySpan<Row> Rows => _view.Rows;

    public long Bytes => 96 + 8L * _view.Capacity;

    public void Add(Row row)
    {
        View view = _view;
        if (view.TryAppend(row)) return;

        var grown = new View(new Row[Math.Max(CapacityMin, 2 * view.Capacity)], 0);
        foreach (Row held in view.Rows) grown.TryAppend(held);
        grown.TryAppend(row);
        _view = grown;
    }

    /// <summary>Takes a row out: O(length), for the rare row that changes lists.</summary>
    public void Remove(Row row) => Keep(held => held != row);

    /// <summary>Notes that one row of the list was deleted; cleans up once a quarter is dead, so the cost per deletion stays constant.</summary>
    public void NoteDead()
    {
        if (++_dead < CapacityMin || 4 * _dead < _view.Rows.Length) return;
        Keep(static held => held.State is not null);
        _dead = 0;
    }

    private void Keep(Predicate<Row> wanted)
    {
        ReadOnlySpan<Row> rows = _view.Rows;
        var kept = new View(new Row[Math.Max(CapacityMin, rows.Length)], 0);
        foreach (Row row in rows)
        {
            if (wanted(row)) kept.TryAppend(row);
        }

        _view = kept;
    }

    private sealed class View(Row[] rows, int count)
    {
        // Stored with release after the element: whoever reads the count sees the rows below it.
        private int _count = count;

        public ReadOnlySpan<Row> Rows => rows.AsSpan(0, Volatile.Read(ref _count));

        public int Capacity => rows.Length;

        public bool TryAppend(Row row)
        {
            int at = _count;
            if (at == rows.Length) return false;
            rows[at] = row;
            Volatile.Write(ref _count, at + 1);
            return true;
        }
    }
}
