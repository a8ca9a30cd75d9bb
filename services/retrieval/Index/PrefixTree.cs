namespace Mesh.Retrieval.Index;

/// <summary>
/// The rows by their semantic IDs, as a tree of all code levels: what a beam search walks. A prefix keeps its rows in one list
/// until it holds more than <see cref="BurstRows"/>, and then a node per next code (a burst trie: Heinz, Zobel and Williams, 2002), so a tree
/// of a million rows has tens of thousands of nodes and not a million; below its nodes a reader groups the few rows by their own codes.
/// Counts and engagement of a prefix follow each delta. One writer, readers without locks: a row may change between the node and
/// the look, so a reader checks the row's own codes.
/// </summary>
/// <param name="depthMax">Codes that make a path; rows that differ only in later ones share a node.</param>
internal sealed class PrefixTree(int depthMax, double halfLifeMs)
{
    /// <summary>Rows that a node holds in one list; a list of rows without further codes may be longer.</summary>
    public const int BurstRows = 64;

    private readonly List<PrefixNode> _path = []; // writer only
    private long _bytes;

    public int DepthMax => depthMax;

    public double HalfLifeMs => halfLifeMs;

    /// <summary>The empty prefix: every row that has codes.</summary>
    public PrefixNode Root { get; } = new(PrefixNode.End, 0);

    /// <summary>Heap bytes of nodes and lists; kept by the writer as they change.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>The code after <paramref name="depth"/> codes, or <see cref="PrefixNode.End"/>.</summary>
    public static long NextCode(uint[] codes, int depth) => depth < codes.Length ? codes[depth] : PrefixNode.End;

    /// <summary>Writer only. Files a row whose state is published already.</summary>
    public void Add(Row row, RowState state)
    {
        uint[] codes = state.Facts.Codes;
        if (codes.Length == 0) return;

        PrefixNode node = Root;
        node.Count(1, state, halfLifeMs);
        long growth = 0;
        while (node.HasBurst)
        {
            long next = NextCode(codes, node.Depth);
            if (!node.TryGetChild(next, out PrefixNode? child))
            {
                child = node.AddChild(next);
                growth += node.TakeGrowth();
            }

            child.Count(1, state, halfLifeMs);
            node = child;
        }

        if (node.AddRow(row) > BurstRows && codes.Length > node.Depth) growth += Burst(node);
        else growth += node.TakeGrowth();
        Volatile.Write(ref _bytes, _bytes + growth);
    }

    /// <summary>Writer only. Files many rows, in the order given, in an empty tree.</summary>
    public void Fill(IReadOnlyList<Row> rows) =>
        Volatile.Write(ref _bytes, Root.Fill([.. rows.Where(static row => row.State!.Facts.Codes.Length > 0)], depthMax, halfLifeMs));

    /// <summary>Writer only. Takes out a row that had this state and is deleted now, or lives on under other codes.</summary>
    public void Remove(Row row, RowState before)
    {
        if (before.Facts.Codes.Length == 0) return;

        Walk(before.Facts.Codes);
        foreach (PrefixNode node in _path) node.Count(-1, before, halfLifeMs);
        _path[^1].DropRow(row);
        long growth = _path[^1].TakeGrowth();
        for (int i = _path.Count - 1; i > 0 && _path[i].Live == 0; i--)
        {
            _path[i - 1].DropChild(_path[i]);
            growth += _path[i].TakeGrowth(isGone: true) + _path[i - 1].TakeGrowth();
        }

        Volatile.Write(ref _bytes, _bytes + growth);
    }

    /// <summary>Writer only. A row keeps its codes and does better or worse.</summary>
    public void Change(RowState before, RowState after)
    {
        if (before.Facts.Codes.Length == 0 || (before.Engagement == after.Engagement && before.EngagementAsOfMs == after.EngagementAsOfMs)) return;

        Walk(before.Facts.Codes);
        foreach (PrefixNode node in _path)
        {
            node.Weigh(-before.Engagement, before.EngagementAsOfMs, halfLifeMs);
            node.Weigh(after.Engagement, after.EngagementAsOfMs, halfLifeMs);
        }
    }

    private void Walk(uint[] codes)
    {
        _path.Clear();
        _path.Add(Root);
        while (_path[^1].TryGetChild(NextCode(codes, _path[^1].Depth), out PrefixNode? child)) _path.Add(child);
    }

    private long Burst(PrefixNode node)
    {
        if (!node.MayBurst(depthMax)) return node.TakeGrowth();

        long growth = 0;
        foreach (PrefixNode child in node.Burst(halfLifeMs)) growth += child.Live > BurstRows ? Burst(child) : child.TakeGrowth();
        return growth + node.TakeGrowth();
    }
}
