using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// What the scan of clusters found for one query vector: entries enter by their bytes' score, are checked before a selection counts
/// them where that is asked for, and those not admitted go first.
/// </summary>
/// <param name="hits">Begun with the query; room for three times what is kept.</param>
/// <param name="kept">Entries that a selection leaves.</param>
/// <param name="isAdmitted">Whether the search may return the row of a segment's place, asked once for each entry; null where all count.</param>
internal sealed class ProbeHits(ScanHits hits, int kept, Func<int, int, bool>? isAdmitted)
{
    // Below any dot product of bytes.
    private const int Refused = int.MinValue;

    private int _checked; // entries before this are checked
    private int _refused; // and so many of them are not admitted

    public ScanHits Hits => hits;

    /// <summary>Whether entries were left out because better ones filled the buffer.</summary>
    public bool HasCutOff { get; private set; }

    /// <summary>Entries kept for k results: bytes misjudge a score by some thousandths (measured on 1,000,000 x 64: 1.1 times cap
    /// recall@100 at 0.991 and recall@1,024 at 0.999, 1.5 times at no limit seen).</summary>
    public static int Kept(int k) => k + (k / 4) + 32;

    public void KeepBest()
    {
        int admitted = CountAdmitted();
        HasCutOff |= admitted > kept;
        hits.KeepBest(kept);
        _checked = hits.Count;
        _refused = _checked - Math.Min(admitted, _checked);
    }

    /// <summary>Adds the best that another thread found for the same query, and keeps the best of both.</summary>
    public void Add(ProbeHits other)
    {
        KeepBest();
        other.KeepBest();
        HasCutOff |= other.HasCutOff;
        hits.Add(other.Hits);
        if (isAdmitted is not null) (_checked, _refused) = (hits.Count, _refused + other._refused);
        KeepBest();
    }

    /// <summary>Adds the places of the best.</summary>
    public void AddBest(List<int> places)
    {
        KeepBest();
        for (int i = 0; i < hits.Count; i++)
        {
            if (hits.Dots[i] != Refused) places.Add(hits.Ordinals[i]);
        }
    }

    // Checks what has come since the last check, and tells how many admitted rows are held.
    private int CountAdmitted()
    {
        if (isAdmitted is null) return hits.Count;
        Span<int> dots = hits.Dots;
        ReadOnlySpan<int> places = hits.Ordinals;
        for (; _checked < dots.Length; _checked++)
        {
            if (isAdmitted(places[_checked] >> Segment.PlaceBits, places[_checked] % Segment.RowsMax)) continue;
            dots[_checked] = Refused;
            _refused++;
        }

        return _checked - _refused;
    }
}
