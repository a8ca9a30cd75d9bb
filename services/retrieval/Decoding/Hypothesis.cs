using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Decoding;

/// <summary>
/// A prefix on the beam: a node of the tree, or, below its nodes, the rows that share the prefix. It stands for its less likely siblings too,
/// which are made one by one as the search comes to them. Ordered best first: by probability, then by length and code, so that the order of arrival decides nothing.
/// </summary>
internal sealed class Hypothesis : IComparable<Hypothesis>
{
    private readonly Hypothesis? _parent;
    private readonly Step[] _siblings;
    private readonly int _at;

    /// <summary>The empty prefix.</summary>
    /// <param name="rows">As <see cref="Rows"/>.</param>
    public Hypothesis(PrefixNode root, ArraySegment<Seen> rows)
    {
        _siblings = [];
        (Node, Rows) = (root, rows);
    }

    private Hypothesis(Hypothesis parent, Step[] siblings, int at)
    {
        _parent = parent;
        _siblings = siblings;
        _at = at;
        Step step = siblings[at];
        LogProbability = parent.LogProbability + step.LogProbability;
        Length = parent.Length + 1;
        Depth = parent.Depth + (step.Code == PrefixNode.End ? 0 : 1);
        (Code, Node, Rows) = (step.Code, step.Node, step.Rows);
    }

    /// <summary>ln P(prefix | user).</summary>
    public double LogProbability { get; }

    /// <summary>Steps from the root, the end of the code counted.</summary>
    public int Length { get; }

    /// <summary>Codes in the prefix.</summary>
    public int Depth { get; }

    /// <summary>The node that stands for the prefix, until its rows are known.</summary>
    public PrefixNode? Node { get; private set; }

    /// <summary>
    /// The rows under the prefix that the filter admits, each with the state that it was admitted in: once there is no node, and where they were
    /// known before the search began from the start.
    /// </summary>
    public ArraySegment<Seen> Rows { get; private set; }

    /// <summary>Whether the last step was the end of the code.</summary>
    public bool HasEnded => Code == PrefixNode.End && _parent is not null;

    private long Code { get; } = PrefixNode.End;

    /// <summary>The likeliest continuation, which stands for the others; null where there is none.</summary>
    public Hypothesis? Continue(Step[] likeliestFirst) => likeliestFirst.Length == 0 ? null : new Hypothesis(this, likeliestFirst, 0);

    /// <summary>The next less likely continuation of the same prefix; null where this was the last.</summary>
    public Hypothesis? Next() => _at + 1 < _siblings.Length ? new Hypothesis(_parent!, _siblings, _at + 1) : null;

    public void Settle(ArraySegment<Seen> rows) => (Node, Rows) = (null, rows);

    /// <summary>The codes, coarse to fine.</summary>
    /// <param name="buffer">Of at least <see cref="Depth"/> codes.</param>
    public ReadOnlySpan<uint> CodesIn(Span<uint> buffer)
    {
        for (Hypothesis at = this; at._parent is { } parent; at = parent)
        {
            if (at.Code != PrefixNode.End) buffer[parent.Depth] = (uint)at.Code;
        }

        return buffer[..Depth];
    }

    /// <summary>A number for the codes, the same wherever they are found, not 0: a hash (FNV-1a), so two prefixes may rarely share one.</summary>
    public int Name()
    {
        uint hash = 2_166_136_261;
        foreach (uint code in CodesIn(stackalloc uint[Depth])) hash = (hash ^ code) * 16_777_619; // at most BeamDepth codes
        return (int)(hash | 1);
    }

    public int CompareTo(Hypothesis? other)
    {
        if (other is null) return -1;
        int order = other.LogProbability.CompareTo(LogProbability);
        if (order == 0) order = other.Length.CompareTo(Length);
        (Hypothesis? x, Hypothesis? y) = (this, other);
        for (; order == 0 && x != y && x is not null && y is not null; (x, y) = (x._parent, y._parent)) order = x.Code.CompareTo(y.Code);
        return order;
    }
}

/// <summary>One way on from a prefix: by a code, or by its end, to a node or to the rows of it.</summary>
internal readonly record struct Step(double LogProbability, long Code, PrefixNode? Node, ArraySegment<Seen> Rows) : IComparable<Step>
{
    /// <summary>Likeliest first, then by code.</summary>
    public int CompareTo(Step other)
    {
        int order = other.LogProbability.CompareTo(LogProbability);
        return order != 0 ? order : Code.CompareTo(other.Code);
    }
}
