using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Mesh.Numerics;

namespace Mesh.Retrieval.Index;

/// <summary>
/// One semantic-ID prefix: how many live rows lie under it, what engagement they have, and either those rows or, past
/// <see cref="PrefixTree.BurstRows"/> of them, one node per next code. Changed by the one writer, read by anyone without a lock.
/// </summary>
/// <param name="code">The last code of the prefix, or <see cref="End"/>.</param>
/// <param name="depth">Codes on the path, <see cref="End"/> not counted.</param>
internal sealed class PrefixNode(long code, int depth)
{
    /// <summary>In place of a code: the semantic IDs that end at the parent.</summary>
    public const long End = -1;

    private const int NodeBytes = 120;         // this object, and its entry in the parent's dictionary of which it is the value
    private const int DictionaryBytes = 300;   // an empty dictionary and its first arrays

    // One of the two is set. A node that bursts sets its children before it lets its rows go, so who finds no rows finds children.
    private volatile AppendList<Row>? _rows = new(IsDead);
    private volatile AppendList<PrefixNode>? _children;

    private Dictionary<long, PrefixNode>? _byCode; // writer only: children that hold live rows
    private int _live;
    private long _accounted;                       // writer only: bytes that the tree has counted for this node

    // Engagement as of a moment, as a counter decays. A reader may take the two of two moments: an error of what one update's
    // time decays, a millionth in a quarter of a second at 72 hours, in a weight that only orders a search.
    private double _engagement;
    private long _engagementAsOfMs;

    public long Code => code;

    public int Depth => depth;

    /// <summary>Live rows whose codes begin with this prefix.</summary>
    public int Live => Volatile.Read(ref _live);

    /// <summary>Sum of <see cref="RowState.Engagement"/> of those rows, decayed to a moment; not below 0.</summary>
    public double EngagementAt(long nowMs, double halfLifeMs)
    {
        double engagement = Volatile.Read(ref _engagement);
        return engagement > 0 ? engagement * DecayedCounter.Factor(Volatile.Read(ref _engagementAsOfMs), nowMs, halfLifeMs) : 0;
    }

    /// <summary>The rows of the node where it has not burst, oldest arrival first, dead ones and such as moved elsewhere included.</summary>
    public bool TryGetRows(out ReadOnlySpan<Row> rows)
    {
        AppendList<Row>? list = _rows;
        rows = list is null ? [] : list.All;
        return list is not null;
    }

    /// <summary>Nodes of the next codes, in order of arrival, dead ones included; empty where the node has not burst.</summary>
    public ReadOnlySpan<PrefixNode> Children => _children is { } children ? children.All : [];

    /// <summary>Writer only.</summary>
    public bool HasBurst => _children is not null;

    /// <summary>Writer only. Counts a row in (+1) or out (-1).</summary>
    public void Count(int rows, RowState state, double halfLifeMs)
    {
        Volatile.Write(ref _live, _live + rows);
        Weigh(rows * state.Engagement, state.EngagementAsOfMs, halfLifeMs);
        if (_live == 0) Volatile.Write(ref _engagement, 0); // no rounding is left behind
    }

    /// <summary>Writer only. Adds engagement as of a moment; what is below 0 takes earlier engagement away.</summary>
    public void Weigh(double engagement, long asOfMs, double halfLifeMs)
    {
        if (engagement == 0) return;
        long latestMs = _engagement == 0 ? asOfMs : Math.Max(asOfMs, _engagementAsOfMs);
        double sum = (_engagement * DecayedCounter.Factor(_engagementAsOfMs, latestMs, halfLifeMs))
            + (engagement * DecayedCounter.Factor(asOfMs, latestMs, halfLifeMs));
        Volatile.Write(ref _engagement, double.IsFinite(sum) ? sum : 0);
        Volatile.Write(ref _engagementAsOfMs, latestMs);
    }

    /// <summary>Writer only. Whether it may have children: not an end, nor one at the full depth.</summary>
    public bool MayBurst(int depthMax) => depth < depthMax && (code != End || depth == 0);

    /// <summary>Writer only. Files many rows at once, in the order given, in an empty node: every list is made once, at its length.</summary>
    /// <returns>Bytes of it and all below.</returns>
    public long Fill(Row[] rows, int depthMax, double halfLifeMs)
    {
        _live = rows.Length;
        if (rows.Length <= PrefixTree.BurstRows || !MayBurst(depthMax) || !Array.Exists(rows, row => row.State!.Facts.Codes.Length > depth))
        {
            _rows = new AppendList<Row>(IsDead, rows);
            foreach (Row row in rows) Weigh(row.State!.Engagement, row.State.EngagementAsOfMs, halfLifeMs);
            return TakeGrowth();
        }

        var byCode = new Dictionary<long, List<Row>>();
        foreach (Row row in rows)
        {
            ref List<Row>? under = ref CollectionsMarshal.GetValueRefOrAddDefault(byCode, PrefixTree.NextCode(row.State!.Facts.Codes, depth), out _);
            (under ??= []).Add(row);
        }

        (_byCode, _children, _rows) = (new(byCode.Count), new(static node => node.Live == 0), null);
        long bytes = 0;
        foreach ((long next, List<Row> under) in byCode)
        {
            PrefixNode child = AddChild(next);
            bytes += child.Fill([.. under], depthMax, halfLifeMs);
            Weigh(child._engagement, child._engagementAsOfMs, halfLifeMs);
        }

        return bytes + TakeGrowth();
    }

    /// <summary>Writer only. Of a node that has not burst.</summary>
    /// <returns>Rows in the list now, dead ones included.</returns>
    public int AddRow(Row row)
    {
        _rows!.Add(row);
        return _rows.All.Length;
    }

    /// <summary>Writer only. Of a node that has not burst.</summary>
    public void DropRow(Row row)
    {
        if (row.State is null) _rows!.NoteDead();
        else _rows!.Remove(row);
    }

    /// <summary>Writer only.</summary>
    public bool TryGetChild(long next, [NotNullWhen(true)] out PrefixNode? child)
    {
        child = null;
        return _byCode is not null && _byCode.TryGetValue(next, out child);
    }

    /// <summary>Writer only. Of a node that has burst.</summary>
    public PrefixNode AddChild(long next)
    {
        var child = new PrefixNode(next, next == End ? depth : depth + 1);
        _byCode![next] = child;
        _children!.Add(child);
        return child;
    }

    /// <summary>Writer only. A child holds no live row any more: its code gets a new node when one comes.</summary>
    public void DropChild(PrefixNode child)
    {
        _byCode!.Remove(child.Code);
        _children!.NoteDead();
    }

    /// <summary>Writer only. Deals the live rows out to children; readers see the rows until all children are complete.</summary>
    public IReadOnlyCollection<PrefixNode> Burst(double halfLifeMs)
    {
        var byCode = new Dictionary<long, PrefixNode>();
        var children = new AppendList<PrefixNode>(static node => node.Live == 0);
        foreach (Row row in _rows!.All)
        {
            if (row.State is not { } state) continue;
            long next = PrefixTree.NextCode(state.Facts.Codes, depth);
            if (!byCode.TryGetValue(next, out PrefixNode? child))
            {
                byCode[next] = child = new PrefixNode(next, next == End ? depth : depth + 1);
                children.Add(child);
            }

            child.Count(1, state, halfLifeMs);
            child.AddRow(row);
        }

        _byCode = byCode;
        _children = children;
        _rows = null;
        return byCode.Values;
    }

    /// <summary>Writer only. By how much the node has grown since it was last asked.</summary>
    public long TakeGrowth(bool isGone = false)
    {
        long bytes = isGone ? 0 : NodeBytes + (_rows?.Bytes ?? 0) + (_children is null ? 0 : _children.Bytes + DictionaryBytes);
        long growth = bytes - _accounted;
        _accounted = bytes;
        return growth;
    }

    private static bool IsDead(Row row) => row.State is null;
}
