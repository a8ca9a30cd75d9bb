using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Mesh.Numerics;

/// <summary>
/// One query's candidates: buffers that scans append to and selections thin out, made once and used for many queries.
/// One thread at a time.
/// </summary>
public sealed class ScanHits
{
    private readonly int[] _dots;
    private readonly int[] _ordinals;

    /// <param name="capacity">Most entries between two selections, at least 64: a scan stops before 64 rows that might not fit.
    /// To keep k, 2k to 4k + 64 are good: a selection then costs each kept entry little.</param>
    public ScanHits(int capacity)
    {
        if (capacity < Int8Rows.GroupRows) throw new ArgumentOutOfRangeException(nameof(capacity), capacity, $"A scan needs room for {Int8Rows.GroupRows} rows.");
        _dots = new int[capacity];
        _ordinals = new int[capacity];
    }

    /// <summary>The query that is scanned for.</summary>
    /// <exception cref="InvalidOperationException"><see cref="Begin"/> was not called.</exception>
    public Int8Query Query { get => field ?? throw new InvalidOperationException("Begin a query first."); private set; }

    /// <summary>Entries that there is room for.</summary>
    public int Capacity => _dots.Length;

    /// <summary>Entries held.</summary>
    public int Count { get; internal set; }

    /// <summary>Dots must be above this to enter. Raise it at will.</summary>
    public int Threshold { get; set; }

    /// <summary>Whether a scan stops here until <see cref="KeepBest"/> or <see cref="Clear"/> makes room for 64 rows.</summary>
    public bool IsFull => _dots.Length - Count < Int8Rows.GroupRows;

    /// <summary>Dots of the entries; <see cref="Int8Query.Score"/> makes scores of them.</summary>
    public Span<int> Dots => _dots.AsSpan(0, Count);

    /// <summary>Ordinals of the entries' rows.</summary>
    public Span<int> Ordinals => _ordinals.AsSpan(0, Count);

    // The first free place of each buffer; there must be room for what is written from there.
    internal ref int NextDot => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_dots), Count);

    internal ref int NextOrdinal => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_ordinals), Count);

    /// <summary>Forgets all and starts with another query.</summary>
    public void Begin(Int8Query query, int threshold = int.MinValue)
    {
        Query = query;
        Count = 0;
        Threshold = threshold;
    }

    /// <summary>Drops the entries, and leaves query and threshold.</summary>
    public void Clear() => Count = 0;

    /// <summary>Adds the entries of another, whatever their dots.</summary>
    /// <exception cref="ArgumentException">There is no room for them.</exception>
    public void Add(ScanHits other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Count > _dots.Length - Count) throw new ArgumentException($"A buffer with {Count} of {_dots.Length} entries has no room for {other.Count}.", nameof(other));
        int from = Count;
        Count += other.Count;
        other.Dots.CopyTo(Dots[from..]);
        other.Ordinals.CopyTo(Ordinals[from..]);
    }

    /// <summary>
    /// Keeps the k best, unsorted, and raises the threshold to the worst of them once there are k: a later row with that very dot is
    /// as good as the worst kept, and left out.
    /// </summary>
    /// <param name="k">At most the capacity less 64, or the scan could not go on.</param>
    public void KeepBest(int k)
    {
        if (k < 1 || k > _dots.Length - Int8Rows.GroupRows)
        {
            throw new ArgumentOutOfRangeException(nameof(k), k, $"A capacity of {_dots.Length} can keep 1..{_dots.Length - Int8Rows.GroupRows}.");
        }

        if (Count < k) return;
        Threshold = Math.Max(Threshold, TopSelect.Keep(Dots, Ordinals, k));
        Count = k;
    }

    // Not full, so that 64 rows fit.
    internal void Append<TKernel>(ref byte group, ulong admitted, int firstOrdinal)
        where TKernel : IInt8Kernel =>
        Count += TKernel.Append(ref group, Query.Values, admitted, Threshold, firstOrdinal, ref NextDot, ref NextOrdinal);
}
