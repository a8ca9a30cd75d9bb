namespace Mesh.Retrieval.Index;

/// <summary>Many rows for an index that holds none yet: what a snapshot or another index has. Asked by several threads at once.</summary>
internal abstract class BulkRows(Row[] rows)
{
    /// <summary>Rows whose state is complete and names the slot equal to the row's place here. No item twice.</summary>
    public Row[] Rows => rows;

    public int Count => rows.Length;

    public abstract int Dimensions { get; }

    /// <summary>Heap bytes of what several rows share, such as texts: no row counts them.</summary>
    public virtual long SharedBytes => 0;

    /// <summary>The vector of a row, every component finite.</summary>
    public abstract ReadOnlySpan<float> Vector(int row);
}
