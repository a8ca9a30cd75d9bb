namespace Mesh.Retrieval.Index;

/// <summary>
/// The best k of hits that come best first by their scores, so that most need only be appended: equal scores are put in order by
/// <see cref="RowHit.CompareTo"/> at the end. Hits whose score is another than their turn says are held beside them until then.
/// </summary>
internal sealed class BestFirst(int k)
{
    private readonly List<RowHit> _hits = new(Math.Min(k, 1_024));
    private readonly List<RowHit> _outOfTurn = [];
    private int _lastKey;
    private bool _hasTies;

    /// <summary>Whether a hit of this key, and all that come after it, are too late.</summary>
    /// <param name="key">Ascends from hit to hit; equal for equal scores.</param>
    public bool IsFullBefore(int key) => _hits.Count >= k && key != _lastKey;

    public void Add(int key, RowHit hit)
    {
        _hasTies |= _hits.Count > 0 && key == _lastKey;
        _lastKey = key;
        _hits.Add(hit);
    }

    public void AddOutOfTurn(RowHit hit) => _outOfTurn.Add(hit);

    public List<RowHit> Take()
    {
        _hits.AddRange(_outOfTurn);
        if (_hasTies || _outOfTurn.Count > 0) _hits.Sort(static (x, y) => y.CompareTo(x));
        if (_hits.Count > k) _hits.RemoveRange(k, _hits.Count - k);
        return _hits;
    }
}
