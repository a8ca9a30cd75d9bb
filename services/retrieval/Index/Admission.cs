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

    /// <summary>Places that <see cref="Check(ReadOnlySpan{int}, Span{Checked})"/> takes at once.</summary>
    public const int CheckedMax = 32;

    private ClusteredVectorIndex _index = null!;
    private BitPlan _plan = null!;
    private RowFilter _filter = null!;
    private int _slots;
    private int _segments;
    private bool _hasChangedPlan;
    private PlanMasks? _kept;

    private SegmentSpan[] _spans = [];
    private ulong[] _masks = []; // a word for each 64 slots of all chunks

    // By number of a segment.
    private int[] _admitted = []; // -1: not looked at
    private int[] _versions = [];

    private long _touched; // takes what was read only to have it read, so that the reading is not left out

    /// <summary>Segments that the search knows.</summary>
    public int Segments => _segments;

    /// <param name="keepsMasks">Whether masks are looked up in what was kept of earlier searches, and kept for later ones.</param>
    /// <param name="slots">Published when the search began.</param>
    public void Begin(ClusteredVectorIndex index, RowFilter filter, BitPlan plan, bool keepsMasks, int slots)
    {
        _kept = keepsMasks ? plan.UseMasks() : null;
        (_index, _filter, _plan, _slots) = (index, filter, plan, slots);
        _segments = index.Segments.Length;
        _spans = index.Spans; // after they were counted
        _hasChangedPlan = false;
        if (_segments == 0) return;
        if (_admitted.Length < _segments)
        {
            int room = _segments + (_segments / 4);
            (_admitted, _versions) = (new int[room], new int[room]);
        }

        FilterBits last = index.Segments[_segments - 1].Filter;
        if (_masks.Length < _spans[_segments - 1].FirstWord + last.Words) _masks = new ulong[last.Chunk.FirstWord + last.Chunk.Words];

        _admitted.AsSpan(0, _segments).Fill(-1);
    }

    /// <summary>Forgets the index.</summary>
    public void Clear()
    {
        (_index, _filter, _plan, _kept, _spans, _segments) = (null!, null!, null!, null, [], 0);
    }

    /// <summary>Where the segments end that are asked together with one: they lie in its chunk, in the order of their numbers.</summary>
    public int GroupEnd(int from)
    {
        int end = from + 1;
        while (end < _segments && end - from < TogetherMax && _spans[end].Chunk == _spans[from].Chunk) end++;
        return end;
    }

    /// <summary>Asks the bits of a group of segments, each row of their chunk from end to end. Any thread, each group once.</summary>
    /// <param name="end">Of the group: <see cref="GroupEnd"/>.</param>
    /// <returns>How many rows are admitted.</returns>
    public long LookGroup(int from, int end, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        BitPlan plan = _plan; // another thread may find it outdated
        FilterBits first = _index.Segments[from].Filter, last = _index.Segments[end - 1].Filter;
        Span<ulong> mask = _masks.AsSpan(_spans[from].FirstWord, last.First + last.Words - first.First);
        KeptMask? kept = _kept?.Of(last);
        long rows = 0;
        if (kept is not null && Holds(kept, from, end, mask))
        {
            for (int number = from; number < end; number++)
            {
                if (_versions[number] != first.Chunk.Versions[number - from + first.Ordinal]) Look(number);
                rows += _admitted[number];
            }

            return rows;
        }

        for (int number = from; number < end; number++) _versions[number] = _index.Segments[number].Filter.BeginRead();
        plan.Admit(first.Chunk, first.First, mask);
        for (int number = from; number < end; number++) rows += Confirm(number, plan, kept);
        return rows;
    }

    // Whether most of the masks that were kept of a group still hold. The others are asked for alone.
    private bool Holds(KeptMask kept, int from, int end, Span<ulong> mask)
    {
        Span<int> versions = _versions.AsSpan(from, end - from);
        FilterBits first = _index.Segments[from].Filter;
        kept.Read(first, mask, _admitted.AsSpan(from, end - from), versions);
        ReadOnlySpan<int> now = first.Chunk.Versions.Slice(first.Ordinal, versions.Length);
        int passed = 0;
        for (int i = 0; i < versions.Length; i++) passed += versions[i] != now[i] ? 1 : 0;
        return passed <= versions.Length / 4;
    }

    /// <summary>
    /// Asks the bits of segments not asked before; any thread, each segment once. To fetch those of 1 to 8 segments ahead gained 0 to 8 %, within the noise, and was left out.
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

    /// <summary>Places of a segment, taken or not.</summary>
    public int Capacity(int number) => 64 * _spans[number].Words;

    /// <summary>A segment, and which of its places are admitted.</summary>
    public Segment At(int number, out ReadOnlySpan<ulong> mask)
    {
        Segment segment = _index.Segments[number];
        mask = Mask(number);
        return segment;
    }

    /// <summary>Adds the places admitted of a segment that was looked at: number x <see cref="Segment.RowsMax"/> + place.</summary>
    public void AddPlaces(int number, List<int> places)
    {
        ReadOnlySpan<ulong> mask = Mask(number);
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
        long admitted = 0;
        for (int from = 0, end; from < _segments; from = end) admitted += LookGroup(from, end = GroupEnd(from), cancellation);
        if (admitted > most) return null;

        places.Clear();
        for (int number = 0; number < _segments; number++)
        {
            if (_admitted[number] > 0) AddPlaces(number, places);
        }

        var seen = new List<Seen>(places.Count);
        Span<Checked> results = new Checked[CheckedMax];
        ReadOnlySpan<int> all = CollectionsMarshal.AsSpan(places);
        for (int from = 0; from < all.Length; from += CheckedMax)
        {
            if (from % (64 * CheckedMax) == 0) cancellation.ThrowIfCancellationRequested();
            ReadOnlySpan<int> some = all.Slice(from, Math.Min(CheckedMax, all.Length - from));
            Check(some, results);
            foreach (ref readonly Checked one in results[..some.Length])
            {
                if (one.State is { } state) seen.Add(new Seen(one.Row, state));
            }
        }

        return seen;
    }

    /// <summary>
    /// Checks up to <see cref="CheckedMax"/> places; any thread. What the checks will read is read before, one kind after the other, so that the misses of
    /// one kind wait together: 1,024 checks take 75 us (quiet machine, 1,000,000 x 64, no filter).
    /// </summary>
    public void Check(ReadOnlySpan<int> places, Span<Checked> results)
    {
        for (int i = 0; i < places.Length; i++) results[i].Row = _index.Segments[places[i] >> Segment.PlaceBits][places[i] % Segment.RowsMax].Row;
        long touched = 0;
        for (int i = 0; i < places.Length; i++) touched += results[i].Row.State is null ? 1 : 0;
        for (int i = 0; i < places.Length; i++) touched += results[i].Row.State?.Slot ?? 0;
        _touched = touched;
        for (int i = 0; i < places.Length; i++) results[i].State = Check(places[i] >> Segment.PlaceBits, places[i] % Segment.RowsMax, out results[i].HasMoved);
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
        KeptMask? kept = _kept?.Of(bits);
        if (kept?.TryRead(bits, Mask(number), out _admitted[number], out _versions[number]) == true && !_plan.IsOutdated) return;

        while (!_plan.TryAdmit(bits, Mask(number), out _admitted[number], out _versions[number]))
        {
            _plan = BitPlan.For(_filter.Plan, _index.Filters); // whichever thread's comes last: each is asked only after it was found current
            _hasChangedPlan = true; // what the bits of earlier segments decided, the new plan may not ask again
            (_kept, kept) = (null, null); // of the plan before
        }

        kept?.Keep(bits, Mask(number), _admitted[number], _versions[number]);
    }

    // Counts what the bits of a segment admit, if they are still those that were read.
    private int Confirm(int number, BitPlan plan, KeptMask? kept)
    {
        FilterBits bits = _index.Segments[number].Filter;
        if (!bits.EndRead(_versions[number]) || plan.IsOutdated)
        {
            Look(number);
            return _admitted[number];
        }

        _admitted[number] = (int)BitWords.PopCount(Mask(number));
        kept?.Keep(bits, Mask(number), _admitted[number], _versions[number]);
        return _admitted[number];
    }

    private Span<ulong> Mask(int number) => _masks.AsSpan(_spans[number].FirstWord, _spans[number].Words);
}
