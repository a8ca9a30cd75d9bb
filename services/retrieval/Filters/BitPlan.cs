using Mesh.Numerics;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// A filter over filter rows: what it admits is a superset of what <see cref="FilterPlan.Admits"/> does, so nothing is lost,
/// and the survivors are checked exactly. NOT is pushed down to the terms (De Morgan), where an exact row can be inverted and
/// a Bloom row cannot: what a signature denies is a superset already, and its complement would lose rows. NOT of a rare value
/// therefore admits all, which is nearly right for a rare value.
/// Conditions of an AND are asked in order of their shares, the smallest first, until no slot is left.
/// </summary>
internal sealed class BitPlan
{
    /// <summary>Instead of a version: the bits are of no one moment.</summary>
    public const int NoVersion = -1;

    private const int TriesMax = 8;

    // A filter of fewer steps is asked again as fast as its mask is looked up.
    private const int KeptStepsMin = 4;

    // A value that is not frequent is below the share that would make it so; nothing more is known of it.
    private const double RareShare = 0.5;

    private readonly FilterRows _rows;
    private readonly BitProgram _program;
    private readonly Node[] _inexact; // conditions that the bits alone do not decide
    private readonly int _generation;
    private readonly long _live; // when the shares were counted
    private int _uses;
    private PlanMasks? _masks;

    private BitPlan(FilterPlan filter, FilterRows rows)
    {
        // The generation first: rows that appear meanwhile make this the plan of a generation ago.
        _generation = rows.Generation;
        _rows = rows;
        _live = rows.Count(FilterBits.LiveRow);
        Node root = Compile(filter);
        var steps = new List<BitStep>();
        root.And(steps, isFirst: true);
        _program = new BitProgram([.. steps], root.Depth);
        _inexact = [.. root.Conditions.Where(condition => !condition.IsExact)];
        PassShare = Math.Clamp(root.Share * rows.Count(FilterBits.VisibleRow) / Math.Max(1, _live), 0, 1);
    }

    /// <summary>A search begins: where its masks are kept; null for a first search, as most filters of one request never come again, and for simple filters.</summary>
    public PlanMasks? UseMasks()
    {
        if (_rows.Masks is not { } budget || _program.Length < KeptStepsMin) return null;
        if (_masks is null && Interlocked.Increment(ref _uses) == 1) return null;
        return (_masks ?? Interlocked.CompareExchange(ref _masks, new PlanMasks(budget), null) ?? _masks).Use();
    }

    /// <summary>Share of the live slots expected to pass, 0..1: of one term by counting, of several as if they were independent.</summary>
    public double PassShare { get; }

    /// <summary>
    /// The plan for the rows as they are. Kept with the filter, so that one that comes again is compiled once while values stay frequent and
    /// their number about the same.
    /// </summary>
    public static BitPlan For(FilterPlan filter, FilterRows rows)
    {
        if (filter.Compiled is { } kept && kept._rows == rows && kept._generation == rows.Generation
            && Math.Abs(rows.Count(FilterBits.LiveRow) - kept._live) <= kept._live / 8) return kept;

        var plan = new BitPlan(filter, rows);
        filter.Compiled = plan;
        return plan;
    }

    /// <summary>Whether the filter admits a state whose bits the plan has admitted: terms with exact rows are asked of the bits, the others of the state.</summary>
    /// <param name="bits">Of the state: <see cref="TryAdmit"/>'s, unchanged since.</param>
    public bool Admits(FilterBits bits, int slot, RowState state)
    {
        foreach (Node condition in _inexact)
        {
            if (!condition.Holds(bits, slot, state)) return false;
        }

        return true;
    }

    /// <summary>
    /// Slots of a segment that the filter may admit: alive, not hidden, and with values that fit. Where a writer changes bits as fast
    /// as they are read, all that are alive.
    /// </summary>
    /// <param name="bits">Of the segment.</param>
    /// <param name="mask">[words of the segment], written; bit s of word w is slot 64 w + s.</param>
    /// <param name="admitted">How many there are.</param>
    /// <param name="version">Of the bits, for <see cref="FilterBits.EndRead"/>; or <see cref="NoVersion"/>.</param>
    /// <returns>False where values have become frequent: another plan is needed.</returns>
    public bool TryAdmit(FilterBits bits, Span<ulong> mask, out int admitted, out int version)
    {
        int tries = 0;
        do
        {
            version = bits.BeginRead();
            Admit(bits.Chunk, bits.First, mask);
        }
        while (!bits.EndRead(version) && ++tries < TriesMax);

        if (tries == TriesMax)
        {
            version = NoVersion;
            bits.Exact(FilterBits.LiveRow).CopyTo(mask);
            Volatile.ReadBarrier(); // what the slots hold is read after their bits
        }

        admitted = (int)BitWords.PopCount(mask);
        return !IsOutdated;
    }

    /// <summary>
    /// Slots of a chunk, of many segments at once: each row is read from end to end. A segment whose version has changed meanwhile is to be
    /// asked again by <see cref="TryAdmit"/>.
    /// </summary>
    /// <param name="first">Word of the chunk's rows.</param>
    /// <param name="mask">Written: a word for each 64 slots.</param>
    public void Admit(FilterChunk chunk, int first, Span<ulong> mask)
    {
        ReadOnlySpan<ulong> rows = chunk.Exact.Span;
        BitWords.And(rows.Slice((FilterBits.LiveRow * chunk.Stride) + first, mask.Length), rows.Slice((FilterBits.VisibleRow * chunk.Stride) + first, mask.Length), mask);
        _program.Run(chunk, first, mask);
    }

    /// <summary>Whether values have become frequent since the plan was made: another one is needed.</summary>
    public bool IsOutdated => _generation != _rows.Generation;

    private Node Compile(FilterPlan filter)
    {
        var operands = new Stack<Func<bool, Node>>();
        foreach (FilterStep step in filter.Steps)
        {
            if (step.Operator == FilterOperator.Term)
            {
                FilterTerm term = step.Term!;
                operands.Push(isDenied => Term(term, isDenied));
            }
            else if (step.Operator == FilterOperator.Not)
            {
                Func<bool, Node> operand = operands.Pop();
                operands.Push(isDenied => operand(!isDenied));
            }
            else
            {
                Func<bool, Node> right = operands.Pop(), left = operands.Pop();
                bool isAnd = step.Operator == FilterOperator.And;
                operands.Push(isDenied => isAnd != isDenied ? Both.Of(left(isDenied), right(isDenied)) : Either.Of(left(isDenied), right(isDenied)));
            }
        }

        return operands.Count == 0 ? Node.All : operands.Pop()(false);
    }

    private Node Term(FilterTerm term, bool isDenied)
    {
        FilterValue value = FilterValue.Of(term);
        if (_rows.TryFindRow(value, out int row))
        {
            double share = Math.Clamp(_rows.Count(row) / (double)Math.Max(1, _live), 0, 1);
            return new ExactRow(row, isDenied, isDenied ? 1 - share : share);
        }

        return isDenied ? new DeniedTerm(term, _rows.BloomRows(value)) : new BloomTerm(term, _rows.BloomRows(value), RareShare * _rows.Shape.FrequentShareMin);
    }

    private class Node(double share, int depth, bool isExact)
    {
        public static readonly Node All = new(1, 0, true);

        /// <summary>Share of slots expected to pass.</summary>
        public double Share => share;

        /// <summary>Places of the stack that its steps need.</summary>
        public int Depth => depth;

        /// <summary>Whether the bits decide: what they admit, the node does.</summary>
        public bool IsExact => isExact;

        /// <summary>Those that must hold together.</summary>
        public virtual IReadOnlyList<Node> Conditions => [this];

        /// <summary>Whether the node admits a state with these bits.</summary>
        public virtual bool Holds(FilterBits bits, int slot, RowState state) => true;

        /// <summary>Adds steps that take out of the top of the stack what the node does not admit.</summary>
        /// <param name="isFirst">Nothing lies below the top, so that the program may end early.</param>
        public virtual void And(List<BitStep> steps, bool isFirst)
        {
        }

        /// <summary>Adds steps that put into the top of the stack what the node admits.</summary>
        public virtual void Or(List<BitStep> steps)
        {
            steps.Add(new BitStep(BitOp.Ones));
            And(steps, isFirst: false);
            steps.Add(new BitStep(BitOp.Or));
        }
    }

    private sealed class ExactRow(int row, bool isDenied, double share) : Node(share, 0, true)
    {
        public override bool Holds(FilterBits bits, int slot, RowState state) => bits.Has(row, slot) != isDenied;

        public override void And(List<BitStep> steps, bool isFirst) => steps.Add(new BitStep(isDenied ? BitOp.AndNotRow : BitOp.AndRow, row));

        // Rows of dead slots keep old bits: the AND with the live slots at the bottom of the stack takes them out.
        public override void Or(List<BitStep> steps) => steps.Add(new BitStep(isDenied ? BitOp.OrNotRow : BitOp.OrRow, row));
    }

    private sealed class BloomTerm(FilterTerm term, int[] rows, double share) : Node(share, 1, false)
    {
        public override bool Holds(FilterBits bits, int slot, RowState state) => bits.HasBloom(rows, slot) && term.Holds(state);

        public override void And(List<BitStep> steps, bool isFirst) => steps.AddRange(rows.Select(row => new BitStep(BitOp.AndRow, ~row)));
    }

    // What lacks a rare value is nearly all: no step is worth it. Of a row that passed, the first bit nearly always tells.
    private sealed class DeniedTerm(FilterTerm term, int[] rows) : Node(1, 1, false)
    {
        public override bool Holds(FilterBits bits, int slot, RowState state) => !bits.HasBloom(rows, slot) || !term.Holds(state);
    }

    private sealed class Both : Node
    {
        private readonly Node[] _conditions;

        private Both(List<Node> conditions)
            : base(conditions.Aggregate(1.0, (share, condition) => share * condition.Share), 1 + conditions.Max(condition => condition.Depth), conditions.TrueForAll(condition => condition.IsExact)) =>
            _conditions = [.. conditions.OrderBy(condition => condition.Share)];

        public static Node Of(Node left, Node right)
        {
            List<Node> conditions = [.. Parts(left), .. Parts(right)];
            conditions.RemoveAll(condition => condition == All);
            return conditions.Count switch { 0 => All, 1 => conditions[0], _ => new Both(conditions) };
        }

        public override IReadOnlyList<Node> Conditions => _conditions;

        public override bool Holds(FilterBits bits, int slot, RowState state)
        {
            foreach (Node condition in _conditions)
            {
                if (!condition.Holds(bits, slot, state)) return false;
            }

            return true;
        }

        public override void And(List<BitStep> steps, bool isFirst)
        {
            for (int i = 0; i < _conditions.Length; i++)
            {
                if (i > 0 && isFirst) steps.Add(new BitStep(BitOp.StopIfEmpty));
                _conditions[i].And(steps, isFirst);
            }
        }

        private static Node[] Parts(Node node) => node is Both both ? both._conditions : [node];
    }

    private sealed class Either : Node
    {
        private readonly Node[] _choices;

        private Either(List<Node> choices)
            : base(1 - choices.Aggregate(1.0, (share, choice) => share * (1 - choice.Share)), 1 + choices.Max(choice => choice.Depth), choices.TrueForAll(choice => choice.IsExact)) =>
            _choices = [.. choices.OrderBy(choice => !choice.IsExact)]; // bits before texts

        public static Node Of(Node left, Node right)
        {
            List<Node> choices = [.. Parts(left), .. Parts(right)];
            return choices.Contains(All) ? All : new Either(choices);
        }

        public override bool Holds(FilterBits bits, int slot, RowState state)
        {
            foreach (Node choice in _choices)
            {
                if (choice.Holds(bits, slot, state)) return true;
            }

            return false;
        }

        public override void And(List<BitStep> steps, bool isFirst)
        {
            steps.Add(new BitStep(BitOp.Zeros));
            Or(steps);
            steps.Add(new BitStep(BitOp.And));
        }

        public override void Or(List<BitStep> steps)
        {
            foreach (Node choice in _choices) choice.Or(steps);
        }

        private static Node[] Parts(Node node) => node is Either either ? either._choices : [node];
    }
}
