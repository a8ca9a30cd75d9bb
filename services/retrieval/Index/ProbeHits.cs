using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// What the scan of clusters found for one query vector: entries enter by their bytes' score, are checked before a selection counts
/// them, and those not admitted go first.
/// </summary>
internal sealed class ProbeHits
{
    // Below any dot product of bytes.
    private const int Refused = int.MinValue;

    private readonly ClusteredVectorIndex _index;
    private readonly Func<Segment, int, bool> _isAdmitted;
    private readonly int _kept;
    private readonly ScanHits _hits;
    private int _checked; // entries before this are checked
    private int _refused; // and so many of them are not admitted
    private bool _hasCutOff;

    /// <param name="isAdmitted">Whether the search may return the row of a place: asked once for each entry.</param>
    /// <param name="k">Results wanted. 1.5 times as many are kept, and 32 more: bytes misjudge a score by some thousandths
    /// (measured on 1,000,000 x 64: 1.1 times cap recall@100 at 0.991, 1.5 at no limit seen).</param>
    public ProbeHits(ClusteredVectorIndex index, Func<Segment, int, bool> isAdmitted, int k)
    {
        _index = index;
        _isAdmitted = isAdmitted;
        _kept = k + (k / 2) + 32;
        _hits = new ScanHits((3 * _kept) + Int8Rows.GroupRows);
    }

    public void Begin(Int8Query query)
    {
        _hits.Begin(query);
        _checked = 0;
        _refused = 0;
        _hasCutOff = false;
    }

    /// <summary>Scans the places of a segment that the mask admits.</summary>
    public void Scan(Segment segment, int number, ReadOnlySpan<ulong> mask)
    {
        ReadOnlySpan<byte> blocks = segment.Blocks;
        ReadOnlySpan<ScanHits> all = new(in _hits);
        for (int group = 0; (group = Int8Scan.Run(blocks, mask, number << Segment.PlaceBits, all, group)) < mask.Length;)
        {
            KeepBest();
        }
    }

    /// <summary>Checks what has come since the last check, and tells how many admitted rows are held.</summary>
    public int CountAdmitted()
    {
        Span<int> dots = _hits.Dots;
        ReadOnlySpan<int> places = _hits.Ordinals;
        for (; _checked < dots.Length; _checked++)
        {
            int place = places[_checked];
            if (_isAdmitted(_index.Segments[place >> Segment.PlaceBits], place % Segment.RowsMax)) continue;
            dots[_checked] = Refused;
            _refused++;
        }

        return _checked - _refused;
    }

    /// <summary>Adds the places of the best to a set.</summary>
    /// <returns>Whether they are all that was admitted.</returns>
    public bool AddBest(HashSet<int> places)
    {
        KeepBest();
        for (int i = 0; i < _hits.Count; i++)
        {
            if (_hits.Dots[i] != Refused) places.Add(_hits.Ordinals[i]);
        }

        return !_hasCutOff;
    }

    private void KeepBest()
    {
        int admitted = CountAdmitted();
        _hasCutOff |= admitted > _kept;
        _hits.KeepBest(_kept);
        _checked = _hits.Count;
        _refused = _checked - Math.Min(admitted, _checked);
    }
}
