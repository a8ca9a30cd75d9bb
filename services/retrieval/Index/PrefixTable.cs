using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Mesh.Retrieval.Index;

/// <summary>
/// Which rows lie under a semantic-ID prefix: one list per first-level code and one per pair of the first two, kept in
/// place as deltas come. One writer, readers without locks. A reader checks the row's own codes, since a row may change
/// between the list and the look.
/// </summary>
internal sealed class PrefixTable
{
    private readonly ConcurrentDictionary<Prefix, RowList> _lists = new();

    public int Prefixes => _lists.Count;

    /// <summary>Bytes of the lists and of the dictionary nodes that hold them (48 bytes each, measured).</summary>
    public long Bytes => _lists.Sum(static pair => pair.Value.Bytes + 48);

    /// <summary>Rows filed under the prefix, oldest arrival first, dead ones included.</summary>
    public ReadOnlySpan<Row> RowsOf(Prefix prefix) => _lists.TryGetValue(prefix, out RowList? list) ? list.Rows : [];

    /// <summary>Writer only.</summary>
    public void Add(Row row, uint[] codes)
    {
        foreach (Prefix prefix in Prefix.AllOf(codes)) _lists.GetOrAdd(prefix, static _ => new RowList()).Add(row);
    }

    /// <summary>Writer only. Files many rows, in the order given, in an empty table: every list is made once, at its length.</summary>
    public void Fill(IReadOnlyList<Row> rows)
    {
        var counts = new Dictionary<Prefix, int>();
        foreach (Row row in rows)
        {
            foreach (Prefix prefix in Prefix.AllOf(row.State!.Facts.Codes)) CollectionsMarshal.GetValueRefOrAddDefault(counts, prefix, out _)++;
        }

        var lists = new Dictionary<Prefix, Row[]>(counts.Count);
        foreach ((Prefix prefix, int count) in counts) lists[prefix] = new Row[count];
        foreach (Row row in rows)
        {
            foreach (Prefix prefix in Prefix.AllOf(row.State!.Facts.Codes))
            {
                Row[] list = lists[prefix];
                list[^CollectionsMarshal.GetValueRefOrNullRef(counts, prefix)--] = row;
            }
        }

        foreach ((Prefix prefix, Row[] list) in lists) _lists[prefix] = new RowList(list);
    }

    /// <summary>Writer only. Takes a row that lives on under other codes out of its lists.</summary>
    public void Remove(Row row, uint[] codes)
    {
        foreach (Prefix prefix in Prefix.AllOf(codes))
        {
            if (_lists.TryGetValue(prefix, out RowList? list)) list.Remove(row);
        }
    }

    /// <summary>Writer only. A row with these codes was deleted.</summary>
    public void NoteDead(uint[] codes)
    {
        foreach (Prefix prefix in Prefix.AllOf(codes))
        {
            if (_lists.TryGetValue(prefix, out RowList? list)) list.NoteDead();
        }
    }
}

/// <summary>The first code of a semantic ID, or the first two; <see cref="Second"/> is -1 for the shorter one.</summary>
internal readonly record struct Prefix(uint First, long Second)
{
    public const long Any = -1;

    public bool Covers(uint[] codes) =>
        codes.Length > 0 && codes[0] == First && (Second == Any || (codes.Length > 1 && codes[1] == Second));

    public Prefix Coarser() => this with { Second = Any };

    /// <summary>The longest prefix of the codes, at most two; null where there are none.</summary>
    public static Prefix? Of(uint[] codes) => codes.Length switch
    {
        0 => null,
        1 => new Prefix(codes[0], Any),
        _ => new Prefix(codes[0], codes[1]),
    };

    public static IEnumerable<Prefix> AllOf(uint[] codes)
    {
        if (codes.Length > 0) yield return new Prefix(codes[0], Any);
        if (codes.Length > 1) yield return new Prefix(codes[0], codes[1]);
    }
}
