namespace Mesh.Numerics;

/// <summary>
/// The k best of a stream of (score, ordinal), best = higher score, then lower ordinal: the same k in whatever order they
/// come. A heap with the worst kept entry at its root, in buffers that the caller owns; nothing is allocated.
/// </summary>
public ref struct TopK
{
    private readonly Span<float> _scores;
    private readonly Span<int> _ordinals;
    private int _count;

    /// <summary>Keeps as many as the buffers hold; both have the same length, and what they hold before does not matter.</summary>
    public TopK(Span<float> scores, Span<int> ordinals)
    {
        if (scores.Length != ordinals.Length)
        {
            throw new ArgumentException($"Buffers must have the same length, not {scores.Length} and {ordinals.Length}.", nameof(ordinals));
        }

        _scores = scores;
        _ordinals = ordinals;
    }

    /// <summary>Entries kept so far, at most k.</summary>
    public readonly int Count => _count;

    /// <summary>A score below this cannot enter: minus infinity until k are kept, then the worst kept score.</summary>
    public readonly float Threshold => _count < _scores.Length || _count == 0 ? float.NegativeInfinity : _scores[0];

    /// <summary>Offers one entry. NaN is never kept.</summary>
    /// <returns>Whether it is among the best so far.</returns>
    public bool Offer(float score, int ordinal)
    {
        if (float.IsNaN(score)) return false;

        if (_count < _scores.Length)
        {
            _scores[_count] = score;
            _ordinals[_count] = ordinal;
            SiftUp(_count++);
            return true;
        }

        if (_count == 0 || !IsBetter(score, ordinal, _scores[0], _ordinals[0])) return false;
        _scores[0] = score;
        _ordinals[0] = ordinal;
        SiftDown(0, _count);
        return true;
    }

    /// <summary>
    /// Sorts the kept entries, best first, into the first <see cref="Count"/> places of the buffers, and ends the
    /// collection: offer nothing after it.
    /// </summary>
    /// <returns>The number of entries.</returns>
    public readonly int Sort()
    {
        // Heap sort: the root is the worst, so moving it to the end leaves the best in front.
        for (int end = _count - 1; end > 0; end--)
        {
            (_scores[0], _scores[end]) = (_scores[end], _scores[0]);
            (_ordinals[0], _ordinals[end]) = (_ordinals[end], _ordinals[0]);
            SiftDown(0, end);
        }

        return _count;
    }

    private static bool IsBetter(float score, int ordinal, float otherScore, int otherOrdinal) =>
        score > otherScore || (score == otherScore && ordinal < otherOrdinal);

    private readonly void SiftUp(int child)
    {
        while (child > 0)
        {
            int parent = (child - 1) / 2;
            if (!IsBetter(_scores[parent], _ordinals[parent], _scores[child], _ordinals[child])) return;
            Swap(parent, child);
            child = parent;
        }
    }

    private readonly void SiftDown(int parent, int count)
    {
        while (true)
        {
            int worst = parent;
            int left = (2 * parent) + 1;
            if (left < count && IsBetter(_scores[worst], _ordinals[worst], _scores[left], _ordinals[left])) worst = left;
            if (left + 1 < count && IsBetter(_scores[worst], _ordinals[worst], _scores[left + 1], _ordinals[left + 1])) worst = left + 1;
            if (worst == parent) return;
            Swap(parent, worst);
            parent = worst;
        }
    }

    private readonly void Swap(int x, int y)
    {
        (_scores[x], _scores[y]) = (_scores[y], _scores[x]);
        (_ordinals[x], _ordinals[y]) = (_ordinals[y], _ordinals[x]);
    }
}
