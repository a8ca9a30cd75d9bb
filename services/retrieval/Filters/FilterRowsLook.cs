// How a value gets an exact row while the index serves, in slices, one a write, so that no delta waits for more than one of them:
//
// 1. A sample of the rows is counted. Every segment gets room for the rows of what is frequent in it, a chunk a slice.
// 2. From then on the values are coming: whatever is signed has its bits in their exact rows and in Bloom rows, and a row's bits are filled in
//    before the row is changed or leaves its slot (Catch). So the slots that the fill has not met are those nobody has touched since.
// 3. The slots there were are filled, in their order, and those that rows had left a moment before. Filling a slot twice changes nothing.
// 4. Only then do readers hear of the rows. Until then no plan names them, so half a row is never asked.
using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>What a look reads and changes.</summary>
internal interface IFiltered
{
    /// <summary>Slots that rows have been put into.</summary>
    int Slots { get; }

    /// <summary>Chunks of filter rows; those that come later have room for <see cref="FilterRows.Capacity"/> from the start.</summary>
    int Chunks { get; }

    /// <summary>The state of the row that lives in a slot; null where none does.</summary>
    RowState? LiveAt(int slot);

    /// <summary>States of slots that rows have left and that searches may still find, as of now: a list of its own.</summary>
    RowState[] Left();

    /// <summary>Makes room for so many exact rows in a chunk.</summary>
    void GrowExact(int chunk, int rows);

    /// <summary>Sets a slot's bit in an exact row that readers do not know yet.</summary>
    /// <returns>Whether it was not set before.</returns>
    bool Backfill(int slot, int row);
}

internal sealed partial class FilterRows
{
    /// <summary>Slots looked at with one write: 0.1 to 0.2 ms, and 4,000 writes for 1,000,000 rows.</summary>
    public const int SliceSlots = 256;

    // Values whose exact rows are being filled. Writer only.
    private readonly Dictionary<FilterValue, int> _coming = [];
    private IEnumerator<int>? _look;

    /// <summary>Writer only. Whether a look has begun and not ended.</summary>
    public bool IsLooking => _look is not null;

    /// <summary>
    /// Writer only, after each write. Goes on with the look under way by one slice, of <see cref="SliceSlots"/> slots or one chunk; begins one where so
    /// much was written since the last began that shares may have changed: half the rows, or 1,024.
    /// </summary>
    public void GoOn(IFiltered slots)
    {
        _writesLeft--;
        if (_look is null)
        {
            if (_writesLeft > 0) return;
            ExpectWrites((int)Count(FilterBits.LiveRow));
            _look = Look(slots).GetEnumerator();
        }

        if (_look.MoveNext()) return;
        _look.Dispose();
        _look = null;
    }

    /// <summary>Writer only, before the bits of a live row change or the row leaves its slot: fills what the look under way would have filled later.</summary>
    public void Catch(IFiltered slots, RowState state)
    {
        if (_coming.Count > 0) Fill(slots, state, isLive: true);
    }

    // Yields after each slice.
    private IEnumerable<int> Look(IFiltered slots)
    {
        if (Room == 0) yield break;
        var sample = new ValueSample(this);
        int end = slots.Slots, every = Stride(end);
        for (int slot = 0, slice = 0; slot < end; slot += every)
        {
            if (slots.LiveAt(slot) is { } state) sample.Add(state.Facts, state.Eligibility);
            if (++slice % SliceSlots == 0) yield return slot;
        }

        List<FilterValue> found = sample.Frequent();
        if (found.Count == 0) yield break;
        int chunks = _rows + found.Count > Capacity ? slots.Chunks : 0; // those that come later have the room
        Reserve(_rows + found.Count);
        yield return 0;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            slots.GrowExact(chunk, Capacity);
            yield return chunk;
        }

        foreach (FilterValue value in found) _coming[value] = _rows + _coming.Count;
        RowState[] left = slots.Left();
        end = slots.Slots; // those that come later are signed with their bits
        for (int slot = 0; slot < end; slot++)
        {
            if (slots.LiveAt(slot) is { } state) Fill(slots, state, isLive: true);
            if ((slot + 1) % SliceSlots == 0) yield return slot;
        }

        for (int i = 0; i < left.Length; i++)
        {
            if (i % SliceSlots == 0) yield return i;
            Fill(slots, left[i], isLive: false);
        }

        Tell();
    }

    private void Fill(IFiltered slots, RowState state, bool isLive)
    {
        for (int i = 0; i < FilterValue.CountOf(state.Facts); i++)
        {
            if (_coming.TryGetValue(FilterValue.At(state.Facts, state.Eligibility, i), out int row) && slots.Backfill(state.Slot, row) && isLive) _counts.Add(row, 1);
        }
    }

    // The rows are whole: readers may ask them.
    private void Tell()
    {
        Volatile.Write(ref _rows, _rows + _coming.Count);
        foreach ((FilterValue value, int row) in _coming) _frequent[value] = row;
        _coming.Clear();
        Volatile.Write(ref _generation, _generation + 1);
    }

    /// <summary>Counts the values of some rows that have no exact row yet.</summary>
    private sealed class ValueSample(FilterRows rows)
    {
        private readonly Dictionary<FilterValue, int> _counts = [];
        private readonly HashSet<FilterValue> _ofRow = [];
        private int _looked;

        public void Add(ItemFacts facts, Eligibility eligibility)
        {
            _looked++;
            _ofRow.Clear();
            for (int i = 0; i < FilterValue.CountOf(facts); i++)
            {
                FilterValue value = FilterValue.At(facts, eligibility, i);
                if (value.Field == FilterField.Item || rows._frequent.ContainsKey(value) || !_ofRow.Add(value)) continue;
                _counts[value] = _counts.GetValueOrDefault(value) + 1;
            }
        }

        /// <summary>Those whose share is large enough, the largest first; of equal ones the first met.</summary>
        public List<FilterValue> Frequent()
        {
            double min = Math.Max(FrequentCountMin, rows.Shape.FrequentShareMin * _looked);
            return [.. _counts.Where(pair => pair.Value >= min).OrderByDescending(pair => pair.Value).Take(rows.Room).Select(pair => pair.Key)];
        }
    }
}
