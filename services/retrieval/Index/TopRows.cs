using System.Runtime.InteropServices;

namespace Mesh.Retrieval.Index;

/// <summary>A row that a search found, with the state that passed its filter. A larger score is better.</summary>
internal readonly record struct RowHit(double Score, Row Row, RowState State) : IComparable<RowHit>
{
    /// <summary>What it fills a part of the source's limit for, by name; 0 where the source does not divide it. Scores are compared within a part.</summary>
    public int Part { get; init; }

    /// <summary>ln of what the part counts: its n-th best hit comes in at this less ln(n).</summary>
    public double PartScore { get; init; }

    /// <summary>Positive where this hit ranks before the other: score, then newer, then the smaller item id.</summary>
    public int CompareTo(RowHit other)
    {
        int order = Score.CompareTo(other.Score);
        if (order == 0) order = State.Facts.CreatedAtMs.CompareTo(other.State.Facts.CreatedAtMs);
        return order != 0 ? order : string.CompareOrdinal(other.State.Facts.ItemId, State.Facts.ItemId);
    }
}

/// <summary>
/// The best k hits offered, in a binary heap with the worst of them on top: O(log k) for each that gets in, one comparison
/// for each that does not. Ties are broken by <see cref="RowHit.CompareTo"/>, so the result does not depend on the order of offers.
/// </summary>
internal sealed class TopRows(int k)
{
    private readonly List<RowHit> _heap = new(Math.Min(k, 1_024));

    /// <summary>Scores below this cannot get in; equal ones may, by the tie-break.</summary>
    public double Threshold { get; private set; } = k == 0 ? double.PositiveInfinity : double.NegativeInfinity;

    public void Offer(double score, Row row, RowState state)
    {
        if (k == 0 || score < Threshold) return;

        var hit = new RowHit(score, row, state);
        Span<RowHit> heap = CollectionsMarshal.AsSpan(_heap);
        if (heap.Length < k)
        {
            _heap.Add(hit);
            SiftUp(CollectionsMarshal.AsSpan(_heap));
        }
        else if (hit.CompareTo(heap[0]) > 0)
        {
            heap[0] = hit;
            SiftDown(heap);
        }

        if (_heap.Count == k) Threshold = _heap[0].Score;
    }

    /// <summary>The hits, best first. The heap is used up.</summary>
    public List<RowHit> TakeBestFirst()
    {
        _heap.Sort(static (x, y) => y.CompareTo(x));
        return _heap;
    }

    private static void SiftUp(Span<RowHit> heap)
    {
        int child = heap.Length - 1;
        while (child > 0)
        {
            int parent = (child - 1) / 2;
            if (heap[child].CompareTo(heap[parent]) >= 0) return;
            (heap[child], heap[parent]) = (heap[parent], heap[child]);
            child = parent;
        }
    }

    private static void SiftDown(Span<RowHit> heap)
    {
        int parent = 0;
        while (true)
        {
            int worst = 2 * parent + 1;
            if (worst >= heap.Length) return;
            if (worst + 1 < heap.Length && heap[worst + 1].CompareTo(heap[worst]) < 0) worst++;
            if (heap[parent].CompareTo(heap[worst]) <= 0) return;
            (heap[parent], heap[worst]) = (heap[worst], heap[parent]);
            parent = worst;
        }
    }
}
