using System.Collections.Concurrent;
using System.Numerics;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>Sizes of the filter rows; see <see cref="RetrievalOptions"/>.</summary>
internal sealed record FilterShape(int BloomBits, int BloomHashes, double FrequentShareMin, int FrequentValuesMax)
{
    /// <summary>Memory for the masks of filters that come again; 0: none are kept.</summary>
    public long MaskBytesMax { get; init; }
}

/// <summary>
/// Which value of the catalogue has an exact row, in every segment alike; the others are in the Bloom rows. A value becomes
/// frequent by its share of the rows at a look (<see cref="GoOn"/>), and stays so for the life of the index: compaction begins anew.
/// One writer; any thread asks.
/// </summary>
internal sealed partial class FilterRows(FilterShape shape)
{
    // A share is judged on at most so many rows, evenly spread: 10 values each, about 10 ms.
    private const int LookedAtMax = 16_384;

    // Fewer say nothing of a share, and an exact row for them would save nothing.
    private const int FrequentCountMin = 32;

    private const int RowsStep = 32;

    // Written by the writer after every segment has the row; read by every request.
    private readonly ConcurrentDictionary<FilterValue, int> _frequent = new();
    private readonly Counted _counts = new(FilterBits.FixedRows + shape.FrequentValuesMax);
    private int _generation;
    private int _rows = FilterBits.FixedRows;
    private int _writesLeft = 1_024;

    public FilterShape Shape => shape;

    /// <summary>Memory for the masks of filters that come again; null where none are kept.</summary>
    public MaskBudget? Masks { get; } = shape.MaskBytesMax > 0 ? new MaskBudget(shape.MaskBytesMax, TimeProvider.System) : null;

    /// <summary>Exact rows that a segment has room for: what new segments are made with.</summary>
    public int Capacity { get; private set; } = RowsStep;

    /// <summary>Counts the looks that made values frequent. A plan of another generation than the rows' is compiled again.</summary>
    public int Generation => Volatile.Read(ref _generation);

    public int FrequentValues => Volatile.Read(ref _rows) - FilterBits.FixedRows;

    /// <summary>Bytes of the table: its counters, about 160 for each frequent value, and the masks kept.</summary>
    public long Bytes => 8L * _counts.Length + 160L * FrequentValues + (Masks?.Bytes ?? 0);

    public bool TryFindRow(FilterValue value, out int row) => _frequent.TryGetValue(value, out row);

    /// <summary>Live slots whose bit is set in an exact row; the live row itself counts all.</summary>
    public long Count(int row) => _counts[row];

    /// <summary>
    /// Bloom rows of a value: each from bits of the hash of its own. Double hashing (Kirsch and Mitzenmacher, 2006) needs no more than two
    /// numbers, and has no more sets of rows than their pairs: 262,144 at 1,024 bits, so that whole signatures fell together and false positives
    /// were 10 times as many as theory has them (benchmarks -- bloom).
    /// </summary>
    public int[] BloomRows(FilterValue value)
    {
        var rows = new int[shape.BloomHashes];
        BloomRows(value, rows);
        return rows;
    }

    private void BloomRows(FilterValue value, Span<int> rows)
    {
        int bits = BitOperations.Log2((uint)shape.BloomBits), left = 64;
        ulong drawn = value.Hash(), hash = drawn;
        for (int i = 0; i < rows.Length; i++)
        {
            if (left < bits) (hash, left) = (drawn = StableHash.Mix(drawn + 1), 64);
            rows[i] = (int)(hash & (uint)(shape.BloomBits - 1));
            hash >>= bits;
            left -= bits;
        }
    }

    /// <summary>Writer only. The bits of a row as values are filed now.</summary>
    public void Sign(ItemFacts facts, Eligibility eligibility, RowSignature signature) => Sign(facts, eligibility, signature, withFrequentInBloom: false);

    /// <summary>Writer only. All bits that the row may have, those in Bloom rows of values that have become frequent since among them.</summary>
    public void SignWidest(ItemFacts facts, Eligibility eligibility, RowSignature signature) => Sign(facts, eligibility, signature, withFrequentInBloom: true);

    /// <summary>Writer only. Counts a slot in (+1) or out (-1).</summary>
    public void Account(RowSignature signature, int by)
    {
        _counts.Add(FilterBits.LiveRow, by);
        if (!signature.Hidden) _counts.Add(FilterBits.VisibleRow, by);
        foreach (int row in signature.Exact.All) _counts.Add(row, by);
    }

    /// <summary>Writer only. Counts many slots in.</summary>
    /// <param name="counts">By exact row.</param>
    public void Account(ReadOnlySpan<long> counts)
    {
        for (int row = 0; row < counts.Length; row++) _counts.Add(row, (int)counts[row]);
    }

    /// <summary>Writer only. The first look, before there is a segment: what is frequent among the states to come has a row from the start.</summary>
    public void Begin(BulkRows rows)
    {
        ExpectWrites(rows.Count);
        var sample = new ValueSample(this);
        for (int i = 0, every = Stride(rows.Count); i < rows.Count; i += every) sample.Add(rows.Rows[i].State!.Facts, rows.Rows[i].State!.Eligibility);
        foreach (FilterValue value in sample.Frequent()) _frequent[value] = _rows++;
        while (Capacity < _rows) Capacity += RowsStep;
        _generation++;
    }

    // Values that may still have a row.
    private int Room => FilterBits.FixedRows + shape.FrequentValuesMax - _rows;

    // Shares may have changed after half the rows, or 1,024.
    private void ExpectWrites(int live) => _writesLeft = Math.Max(1_024, live / 2);

    // One slot of so many is looked at.
    private static int Stride(int slots) => Math.Max(1, slots / LookedAtMax);

    // Room for so many rows, and a quarter more, in segments to come; those there are grow next.
    private void Reserve(int rows)
    {
        if (rows > Capacity) Capacity = Math.Min(FilterBits.FixedRows + shape.FrequentValuesMax, (rows + (rows / 4) + RowsStep - 1) / RowsStep * RowsStep);
    }

    private void Sign(ItemFacts facts, Eligibility eligibility, RowSignature signature, bool withFrequentInBloom)
    {
        signature.Hidden = eligibility.Hidden;
        signature.Exact.Clear();
        signature.Bloom.Clear();
        Span<int> bits = stackalloc int[shape.BloomHashes];
        for (int i = 0; i < FilterValue.CountOf(facts); i++)
        {
            FilterValue value = FilterValue.At(facts, eligibility, i);
            bool isFrequent = _frequent.TryGetValue(value, out int row);
            if (isFrequent || (_coming.Count > 0 && _coming.TryGetValue(value, out row))) signature.Exact.Add(row);
            if (isFrequent && !withFrequentInBloom) continue;
            BloomRows(value, bits);
            foreach (int bit in bits) signature.Bloom.Add(bit);
        }
    }

    // Written by the writer, read by every request: one number in one piece each.
    private sealed class Counted(int length)
    {
        private readonly long[] _values = new long[length];

        public int Length => _values.Length;

        public long this[int index] => Volatile.Read(ref _values[index]);

        public void Add(int index, int by) => Volatile.Write(ref _values[index], _values[index] + by);
    }
}
