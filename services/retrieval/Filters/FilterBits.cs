// Filter rows lie transposed: one row of bits per value, one bit per slot of the segment, so that one word decides 64 slots.
// They are asked before the vectors are read, and they answer for the moment at which they were read:
//
// 1. The writer counts the version up to odd before it changes bits of a slot that readers know, and up to even after it. A
//    reader whose version was odd or has changed reads again. Without this, a row that goes from tag A to tag B while "A or B"
//    is evaluated could be seen with neither, and "not A" could be wrong for a row that has lost A.
// 2. A new slot needs no odd version: its live bit is set last. The version is counted up after it, and after a slot has died, by two:
//    what the bits of a version admit may be kept until there is another (KeptMask).
// 3. Words are stored in one piece and in order (each store releases), by one writer.
using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// Filter rows of one segment: slots that are alive, those that are not hidden, an exact row for each frequent value, and the
/// Bloom signatures of the rare values. See <see cref="FilterRows"/> for which value has which row.
/// </summary>
internal sealed class FilterBits
{
    /// <summary>Rows that every segment has before those of frequent values.</summary>
    public const int LiveRow = 0, VisibleRow = 1, FixedRows = 2;

    private readonly FilterChunk _chunk;
    private readonly int _first;
    private readonly int _words;

    /// <param name="ordinal">Segments of the chunk before this one.</param>
    /// <param name="first">Word of a chunk's rows where those of this segment begin.</param>
    public FilterBits(FilterChunk chunk, int ordinal, int first, int words) => (_chunk, Ordinal, _first, _words) = (chunk, ordinal, first, words);

    public FilterChunk Chunk => _chunk;

    /// <summary>Segments of the chunk before this one.</summary>
    public int Ordinal { get; }

    /// <summary>Word of the chunk's rows where those of this segment begin.</summary>
    public int First => _first;

    /// <summary>Words of a row.</summary>
    public int Words => _words;

    /// <summary>Slots whose bits a reader may take for members, 64 to a word, among those that are alive.</summary>
    public ReadOnlySpan<ulong> Exact(int row) => _chunk.Exact.Span.Slice(At(row), _words);

    /// <summary>Whether a slot's bit of an exact row is set.</summary>
    public bool Has(int row, int slot) => (Exact(row)[slot >> 6] >> (slot & 63) & 1) != 0;

    /// <summary>Whether a slot's bits of all of these Bloom rows are set.</summary>
    public bool HasBloom(ReadOnlySpan<int> rows, int slot)
    {
        foreach (int row in rows)
        {
            if ((Bloom(row)[slot >> 6] >> (slot & 63) & 1) == 0) return false;
        }

        return true;
    }

    public ReadOnlySpan<ulong> Bloom(int bit) => _chunk.Bloom.Span.Slice(At(bit), _words);

    public int BeginRead() => Volatile.Read(ref Version);

    /// <summary>Whether everything read since <see cref="BeginRead"/> is of one moment. What the slots hold may be read from here on.</summary>
    public bool EndRead(int version)
    {
        Volatile.ReadBarrier();
        return (version & 1) == 0 && version == Volatile.Read(ref Version);
    }

    /// <summary>Writer only. The bits of a slot that no reader knows yet; alive from the last store on.</summary>
    public void Put(int slot, RowSignature signature)
    {
        Store(_chunk.Exact, VisibleRow, slot, !signature.Hidden);
        StoreAll(_chunk.Exact, signature.Exact, slot);
        StoreAll(_chunk.Bloom, signature.Bloom, slot);
        Store(_chunk.Exact, LiveRow, slot, true);
        CountUp(2);
    }

    /// <summary>
    /// Writer only. Puts another state into a row and turns the bits of its slot from those of one to those of the other. Whoever reads the
    /// state after bits of a version, and finds that version still, holds a state that these bits describe.
    /// </summary>
    public void Change(int slot, RowSignature before, RowSignature after, Row owner, RowState state)
    {
        CountUp(1);
        owner.State = state;
        Store(_chunk.Exact, VisibleRow, slot, !after.Hidden);
        foreach (int row in before.Exact.All) if (!after.Exact.Contains(row)) Store(_chunk.Exact, row, slot, false);
        foreach (int bit in before.Bloom.All) if (!after.Bloom.Contains(bit)) Store(_chunk.Bloom, bit, slot, false);
        StoreAll(_chunk.Exact, after.Exact, slot);
        StoreAll(_chunk.Bloom, after.Bloom, slot);
        CountUp(1);
    }

    /// <summary>Writer only. The slot is dead for readers from now on.</summary>
    public void Kill(int slot)
    {
        Store(_chunk.Exact, LiveRow, slot, false);
        CountUp(2);
    }

    /// <summary>Writer only. Sets one bit of a row that no reader asks for yet.</summary>
    /// <returns>Whether it was not set before.</returns>
    public bool Backfill(int slot, int row)
    {
        if (Has(row, slot)) return false;
        Store(_chunk.Exact, row, slot, true);
        return true;
    }

    private ref int Version => ref _chunk.Versions[Ordinal];

    private void CountUp(int by) => Volatile.Write(ref Version, Version + by);

    private int At(int row) => (row * _chunk.Stride) + _first;

    private void StoreAll(AlignedBuffer<ulong> rows, RowSet set, int slot)
    {
        Span<ulong> words = rows.Span[(_first + (slot >> 6))..];
        ulong bit = 1ul << (slot & 63);
        foreach (int row in set.All)
        {
            ref ulong word = ref words[row * _chunk.Stride];
            Volatile.Write(ref word, word | bit);
        }
    }

    private void Store(AlignedBuffer<ulong> rows, int row, int slot, bool value)
    {
        ref ulong word = ref rows.Span[At(row) + (slot >> 6)];
        ulong bit = 1ul << (slot & 63);
        Volatile.Write(ref word, value ? word | bit : word & ~bit);
    }
}

/// <summary>The bits that one row's values take. Used again for the next row by the writer.</summary>
internal sealed class RowSignature
{
    public bool Hidden { get; set; }

    public RowSet Exact { get; } = new();

    public RowSet Bloom { get; } = new();
}

/// <summary>A few numbers from 0 on, each once: to ask for one and to add one take no search, to clear takes as many steps as there are.</summary>
internal sealed class RowSet
{
    private ulong[] _words = new ulong[16];
    private int[] _rows = new int[64];
    private int _count;

    /// <summary>In the order in which they came; until the next change.</summary>
    public ReadOnlySpan<int> All => _rows.AsSpan(0, _count);

    public bool Contains(int row) => row >> 6 < _words.Length && (_words[row >> 6] >> (row & 63) & 1) != 0;

    public void Add(int row)
    {
        if (row >> 6 >= _words.Length) Array.Resize(ref _words, Math.Max((row >> 6) + 1, 2 * _words.Length));
        ref ulong word = ref _words[row >> 6];
        ulong bit = 1ul << (row & 63);
        if ((word & bit) != 0) return;
        word |= bit;
        if (_count == _rows.Length) Array.Resize(ref _rows, 2 * _count);
        _rows[_count++] = row;
    }

    public void Clear()
    {
        foreach (int row in All) _words[row >> 6] = 0;
        _count = 0;
    }
}
