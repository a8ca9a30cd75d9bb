using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Benchmarks.Bloom;

/// <summary>The filter rows of retrieval over the catalogue: segments of 1,024 slots, filled and looked through as the index does it.</summary>
internal sealed class TransposedRows : IValueIndex, IFiltered
{
    private const int Slots = 1_024;
    private static readonly Eligibility Everybody = new();

    private readonly ValueCatalogue _catalogue;
    private readonly FilterBits[] _segments;
    private readonly List<FilterChunk> _chunks = [];
    private readonly FilterRows _rows;
    private readonly bool _checks;
    private readonly ulong[] _mask = new ulong[Slots / 64];
    private int _filled;

    /// <param name="frequentMax">Values that may have an exact row; 0 = all are in the Bloom rows.</param>
    /// <param name="checks">Whether survivors are checked against the items' own values, as a search does: the answer is exact then.</param>
    public TransposedRows(string name, ValueCatalogue catalogue, int bloomBits, int frequentMax, bool checks)
    {
        Name = name;
        _catalogue = catalogue;
        _checks = checks;
        _rows = new FilterRows(new FilterShape(bloomBits, BloomHashes: 5, FrequentShareMin: 0.002, FrequentValuesMax: frequentMax));
        _segments = new FilterBits[(catalogue.Items + Slots - 1) / Slots];
        var signature = new RowSignature();
        while (_filled < catalogue.Items)
        {
            if (_filled % Slots == 0) _segments[_filled / Slots] = Take();
            _rows.Sign(FactsOf(_filled), Everybody, signature);
            _rows.Account(signature, 1);
            _segments[_filled / Slots].Put(_filled % Slots, signature);
            _filled++;
            if (frequentMax > 0) _rows.GoOn(this);
        }

        while (_rows.IsLooking) _rows.GoOn(this);
    }

    public string Name { get; }

    public int BloomBits => _rows.Shape.BloomBits;

    public int FrequentValues => _rows.FrequentValues;

    public long Bytes => _chunks.Sum(static chunk => chunk.Bytes) + _rows.Bytes;

    public int Run(ValueQuery query)
    {
        var plan = BitPlan.For(Plan(query), _rows);
        bool checks = _checks && !HasRows(query);
        int admitted = 0;
        for (int s = 0; s < _segments.Length; s++)
        {
            plan.TryAdmit(_segments[s], _mask, out int survivors, out _); // true: nobody writes
            admitted += checks ? Check(query, s) : survivors;
        }

        return admitted;
    }

    /// <summary>Of every n-th item: those without a value that its Bloom rows admit, and how many are without it. The value need not be in the catalogue.</summary>
    public (long False, long Without) FalsePositives(int value, int every)
    {
        int[] rows = _rows.BloomRows(FilterValue.Of(Term(value)));
        long wrong = 0, without = 0;
        for (int item = value % every; item < _catalogue.Items; item += every)
        {
            if (_catalogue.Holds(item, value)) continue;
            without++;
            FilterBits segment = _segments[item / Slots];
            int slot = item % Slots;
            bool isAdmitted = true;
            foreach (int row in rows) isAdmitted &= (segment.Bloom(row)[slot >> 6] >> (slot & 63) & 1) != 0;
            if (isAdmitted) wrong++;
        }

        return (wrong, without);
    }

    /// <summary>Values of an item that its signature holds: its own, its id, author, language and safety.</summary>
    public int SignedValues(int item) => _catalogue.Of(item).Length + 4;

    int IFiltered.Slots => _filled;

    int IFiltered.Chunks => _chunks.Count;

    RowState? IFiltered.LiveAt(int slot) => new(FactsOf(slot), new Counters(), Everybody, 1, slot);

    RowState[] IFiltered.Left() => [];

    void IFiltered.GrowExact(int chunk, int rows) => _chunks[chunk].GrowExact(rows);

    bool IFiltered.Backfill(int slot, int row) => _segments[slot / Slots].Backfill(slot % Slots, row);

    private FilterBits Take()
    {
        if (_chunks.Count > 0 && _chunks[^1].TryTake(Slots) is { } taken) return taken;

        var chunk = new FilterChunk(_chunks.Count, _chunks.Sum(static held => held.Words), FilterChunk.SlotsMax, BloomBits, _rows.Capacity);
        _chunks.Add(chunk);
        return chunk.TryTake(Slots)!;
    }

    // The bits alone decide then.
    private bool HasRows(ValueQuery query) => query.Conditions.All(condition => condition.All(value => _rows.TryFindRow(FilterValue.Of(Term(value)), out _)));

    private int Check(ValueQuery query, int segment)
    {
        int admitted = 0;
        for (int w = 0; w < _mask.Length; w++)
        {
            for (ulong left = _mask[w]; left != 0; left &= left - 1)
            {
                int item = (segment * Slots) + (w * 64) + System.Numerics.BitOperations.TrailingZeroCount(left);
                if (query.Admits(_catalogue.Of(item))) admitted++;
                else _mask[w] &= ~(left & (~left + 1));
            }
        }

        return admitted;
    }

    private ItemFacts FactsOf(int item)
    {
        var row = new Item { ItemId = $"i{item}", AuthorId = $"a{item % 100_003}", Language = "en" };
        foreach (int value in _catalogue.Of(item)) row.Tags.Add(Text(value));
        return new ItemFacts(row, []);
    }

    private static FilterPlan Plan(ValueQuery query)
    {
        var steps = new List<FilterStep>();
        foreach ((int i, int[] condition) in query.Conditions.Index())
        {
            foreach ((int j, int value) in condition.Index())
            {
                steps.Add(new FilterStep(FilterOperator.Term, Term(value)));
                if (j > 0) steps.Add(new FilterStep(FilterOperator.Or, null));
            }

            if (i > 0) steps.Add(new FilterStep(FilterOperator.And, null));
        }

        return new FilterPlan(steps);
    }

    private static FilterTerm Term(int value) => new(FilterField.Tag, "", Text(value));

    private static string Text(int value) => $"v{value}";
}
