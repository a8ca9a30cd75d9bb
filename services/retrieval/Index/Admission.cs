using System.Numerics;
using System.Runtime.InteropServices;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Index;

/// <summary>
/// What a filter admits of the segments that a search has looked at, and whether it still does: the bits of a segment are asked once, and
/// the rows found by them are checked when all is scored.
/// </summary>
internal sealed class Admission
{
    // Segments asked together: their masks stay in the first cache.
    private const int TogetherMax = 512;

    /// <summary>Places that <see cref="Touch"/> takes at once.</summary>
    public const int TouchedMax = 32;

    private ClusteredVectorIndex _index = null!;
    private BitPlan _plan = null!;
    private RowFilter _filter = null!;
    private int _slots;
    private int _segments;
    private bool _hasChangedPlan;

    private readonly Row?[] _rows = new Row?[TouchedMax]; // of the places that are being checked
    private ulong[] _masks = []; // a word for each 64 slots of all chunks

    // By number of a segment.
    private int[] _admitted = []; // -1: not looked at
    private int[] _versions = [];

    /// <summary>Takes what was read only to have it read, so that the reading is not left out.</summary>
    public long Touched { get; private set; }

    /// <summary>Segments that the search knows.</summary>
    public int Segments => _segments;

    /// <param name="slots">Published when the search began.</param>
    public void Begin(ClusteredVectorIndex index, RowFilter filter, BitPlan plan, int slots)
    {
        (_index, _filter, _plan, _slots) = (index, filter, plan, slots);
        _segments = index.Segments.Length;
        _hasChangedPlan = false;
        if (_segments == 0) return;
        if (_admitted.Length < _segments)
        {
            int room = _segments + (_segments / 4);
            (_admitted, _versions) = (new int[room], new int[room]);
        }

        FilterBits last = index.Segments[_segments - 1].Filter;
        if (_masks.Length < WordOf(last) + last.Words) _masks = new ulong[last.Chunk.FirstWord + last.Chunk.Words];

        _admitted.AsSpan(0, _segments).Fill(-1);
    }

    /// <summary>Forgets the index.</summary>
    public void Clear()
    {
        (_index, _filter, _plan, _segments) = (null!, null!, null!, 0);
        Array.Clear(_rows);
    }

    /// <summary>Asks the bits of all segments, each row of a chunk from end to end.</summary>
    /// <returns>How many rows are admitted.</returns>
    public long LookAll(CancellationToken cancellation)
    {
        long rows = 0;
        for (int from = 0, end; from < _segments; from = end)
        {
            // Segments lie in their chunk in the order of their numbers.
            FilterBits first = _index.Segments[from].Filter;
            for (end = from; end < _segments && end - from < TogetherMax && _index.Segments[end].Filter.Chunk == first.Chunk; end++)
            {
                _versions[end] = _index.Segments[end].Filter.BeginRead();
            }

            cancellation.ThrowIfCancellationRequested();
            FilterBits last = _index.Segments[end - 1].Filter;
            _plan.Admit(first.Chunk, first.First, _masks.AsSpan(WordOf(first), last.First + last.Words - first.First));
            for (int number = from; number < end; number++) rows += Confirm(number);
        }

        return rows;
    }

    /// <summary>
    /// Asks the bits of segments not asked before. To fetch those of 1 to 8 segments ahead gained 0 to 8 %, within the noise, and was left out.
    /// </summary>
    /// <returns>How many rows of all of these segments are admitted.</returns>
    public int Look(ReadOnlySpan<int> numbers, CancellationToken cancellation)
    {
        int rows = 0;
        for (int i = 0; i < numbers.Length; i++)
        {
            if ((i & 63) == 0) cancellation.ThrowIfCancellationRequested();
            if (_admitted[numbers[i]] < 0) Look(numbers[i]);
            rows += _admitted[numbers[i]];
        }

        return rows;
    }

    /// <summary>Rows admitted of a segment that was looked at.</summary>
    public int Count(int number) => _admitted[number];

    /// <summary>A segment, and which of its places are admitted.</summary>
    public Segment At(int number, out ReadOnlySpan<ulong> mask)
    {
        Segment segment = _index.Segments[number];
        mask = Mask(segment.Filter);
        return segment;
    }

    /// <summary>Adds the places admitted of a segment that was looked at: number x <see cref="Segment.RowsMax"/> + place.</summary>
    public void AddPlaces(int number, List<int> places)
    {
        ReadOnlySpan<ulong> mask = Mask(_index.Segments[number].Filter);
        for (int w = 0; w < mask.Length; w++)
        {
            int first = (number << Segment.PlaceBits) + (64 * w);
            for (ulong left = mask[w]; left != 0; left &= left - 1) places.Add(first + BitOperations.TrailingZeroCount(left));
        }
    }

    /// <summary>Asks the bits of all segments, and checks every row that they admit.</summary>
    /// <param name="places">A list to work in.</param>
    /// <returns>Null where the bits admit more than <paramref name="most"/>.</returns>
    public List<Seen>? TakeAll(int most, List<int> places, CancellationToken cancellation)
    {
        if (LookAll(cancellation) > most) return null;

        places.Clear();
        for (int number = 0; number < _segments; number++) AddPlaces(number, places);
        var seen = new List<Seen>(places.Count);
        ReadOnlySpan<int> all = CollectionsMarshal.AsSpan(places);
        for (int from = 0; from < all.Length; from += TouchedMax)
        {
            if (from % (64 * TouchedMax) == 0) cancellation.ThrowIfCancellationRequested();
            ReadOnlySpan<int> some = all.Slice(from, Math.Min(TouchedMax, all.Length - from));
            Touch(some);
            for (int i = 0; i < some.Length; i++)
            {
                if (Check(some[i] >> Segment.PlaceBits, some[i] % Segment.RowsMax, out _) is { } state) seen.Add(new Seen(_rows[i]!, state));
            }
        }

        return seen;
    }

    /// <summary>
    /// Reads what the checks of so many places will read, one kind after the other, so that the misses of one kind wait together: 1,024
    /// checks take 75 us (quiet machine, 1,000,000 x 64, no filter).
    /// </summary>
    public void Touch(ReadOnlySpan<int> places)
    {
        for (int i = 0; i < places.Length; i++) _rows[i] = _index.Segments[places[i] >> Segment.PlaceBits][places[i] % Segment.RowsMax].Row;
        long touched = 0;
        for (int i = 0; i < places.Length; i++) touched += _rows[i]!.State is null ? 1 : 0;
        for (int i = 0; i < places.Length; i++) touched += _rows[i]!.State?.Slot ?? 0;
        Touched = touched;
    }

    /// <summary>Whether a place is one that this search takes its row from, and which the request does not exclude.</summary>
    public bool IsCandidate(int number, int place)
    {
        ref readonly Place held = ref _index.Segments[number][place];
        return held.IsHere(_slots) && !(_filter.ExcludedMax > 0 && _filter.Excludes(held.Hash));
    }

    /// <summary>The state of a place's row where the search may return it.</summary>
    /// <param name="hasMoved">The state's vector is another than that of the place.</param>
    public RowState? Check(int number, int place, out bool hasMoved)
    {
        Segment segment = _index.Segments[number];
        ref readonly Place held = ref segment[place];
        hasMoved = false;
        if (!held.IsHere(_slots) || held.Row.State is not { } state) return null;

        hasMoved = state.Slot != held.Slot;
        if (_filter.ExcludedMax > 0 && _filter.Excludes(held.Hash)) return null;
        if (hasMoved || _hasChangedPlan) return _filter.Admits(state) ? state : null;

        bool isAdmitted = _filter.AdmitsViewer(state) && _plan.Admits(segment.Filter, place, state);
        if (!AreBitsOf(segment, number)) isAdmitted = _filter.Admits(state);
        return isAdmitted ? state : null;
    }

    // Whether the bits that were read, and read again since, describe the state that was read between, so that the filter need not be asked
    // of the state: 23 terms on the strings of a row take 430 ns.
    private bool AreBitsOf(Segment segment, int number) =>
        _versions[number] != BitPlan.NoVersion && segment.Filter.EndRead(_versions[number]);

    private void Look(int number)
    {
        FilterBits bits = _index.Segments[number].Filter;
        while (!_plan.TryAdmit(bits, Mask(bits), out _admitted[number], out _versions[number]))
        {
            _plan = BitPlan.For(_filter.Plan, _index.Filters);
            _hasChangedPlan = true; // what the bits of earlier segments decided, the new plan may not ask again
        }
    }

    // Counts what the bits of a segment admit, if they are still those that were read.
    private int Confirm(int number)
    {
        FilterBits bits = _index.Segments[number].Filter;
        if (bits.EndRead(_versions[number]) && !_plan.IsOutdated) _admitted[number] = (int)BitWords.PopCount(Mask(bits));
        else Look(number);
        return _admitted[number];
    }

    private Span<ulong> Mask(FilterBits bits) => _masks.AsSpan(WordOf(bits), bits.Words);

    private static int WordOf(FilterBits bits) => bits.Chunk.FirstWord + bits.First;
}
