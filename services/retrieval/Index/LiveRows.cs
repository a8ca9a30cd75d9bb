namespace Mesh.Retrieval.Index;

/// <summary>The live rows of an index, with slots anew, for another. The index may change meanwhile: each row is as it was at one moment of the look.</summary>
internal sealed class LiveRows : BulkRows
{
    private readonly IVectorIndex _from;
    private readonly int[] _slots; // there

    private LiveRows(IVectorIndex from, Row[] rows, int[] slots)
        : base(rows)
    {
        _from = from;
        _slots = slots;
    }

    public override int Dimensions => _from.Dimensions;

    public static LiveRows Of(LiveIndex index)
    {
        var rows = new List<Row>(index.Items);
        var slots = new List<int>(index.Items);
        foreach ((_, RowState state) in index.Vectors.Live())
        {
            rows.Add(new Row { State = state.At(rows.Count) });
            slots.Add(state.Slot);
        }

        return new LiveRows(index.Vectors, [.. rows], [.. slots]);
    }

    public override ReadOnlySpan<float> Vector(int row) => _from.VectorAt(_slots[row]);
}
