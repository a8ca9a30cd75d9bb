using Mesh.Numerics;

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

    // A value that is not frequent is below the share that would make it so; nothing more is known of it.
    private const double RareShare = 0.5;

    private readonly FilterPlan _filter;
    private readonly FilterRows _rows;
    private BitProgram _program = null!;
    private int _generation;

    /// <summary>Compiles the plan for the rows as they are. One request's, one thread's.</summary>
    public BitPlan(FilterPlan filter, FilterRows rows)
    {
        _filter = filter;
        _rows = rows;
        Compile();
    }

    /// <summary>Share of the live slots expected to pass, 0..1: of one term by counting, of several as if they were independent.</summary>
    public double PassShare { get; private set; }

    /// <summary>Whether every term has an exact row: a slot's bits of one moment then tell whether the filter admitted its state of that moment.</summary>
    public bool IsExact { get; private set; }

    /// <summary>Begins to fetch what <see cref="TryAdmit"/> reads of a segment.</summary>
    public void Prefetch(FilterBits bits) => _program.Prefetch(bits);

    /// <summary>
    /// Slots of a segment that the filter may admit: alive, not hidden, and with values that fit. Where a writer changes bits as fast
    /// as they are read, all that are alive.
    /// </summary>
    /// <param name="bits">Those that the segment has now: taken after the plan was made, or after the last false.</param>
    /// <param name="mask">[words of the segment], written; bit s of word w is slot 64 w + s.</param>
    /// <param name="admitted">How many there are.</param>
    /// <param name="version">Of the bits, for <see cref="FilterBits.EndRead"/>; or <see cref="NoVersion"/>.</param>
    /// <returns>False where values have become frequent: the plan is another now, and the segment may be too.</returns>
    public bool TryAdmit(FilterBits bits, Span<ulong> mask, out int admitted, out int version)
    {
        int tries = 0;
        do
        {
            version = bits.BeginRead();
            BitWords.And(bits.Exact(FilterBits.LiveRow), bits.Exact(FilterBits.VisibleRow), mask);
            _program.Run(bits, mask);
        }
        while (!bits.EndRead(version) && ++tries < TriesMax);

        if (tries == TriesMax)
        {
            version = NoVersion;
            bits.Exact(FilterBits.LiveRow).CopyTo(mask);
            Volatile.ReadBarrier(); // what the slots hold is read after their bits
        }

        admitted = (int)BitWords.PopCount(mask);
        if (_generation == _rows.Generation) return true;
        Compile();
        return false;
    }

    // The generation first: rows that appear meanwhile make the plan of a generation ago, and it is compiled again.
    private void Compile()
    {
        _generation = _rows.Generation;
        IsExact = true;
        var operands = new Stack<Func<bool, Node>>();
        foreach (FilterStep step in _filter.Steps)
        {
            if (step.Operator == FilterOperator.Term)
            {
                FilterValue value = FilterValue.Of(step.Term!);
                operands.Push(isDenied => Term(value, isDenied));
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

        Node root = operands.Count == 0 ? Node.All : operands.Pop()(false);
        var steps = new List<BitStep>();
        root.And(steps, isFirst: true);
        _program = new BitProgram([.. steps], root.Depth);
        double live = Math.Max(1, _rows.Count(FilterBits.LiveRow));
        PassShare = Math.Clamp(root.Share * _rows.Count(FilterBits.VisibleRow) / live, 0, 1);
    }

    private Node Term(FilterValue value, bool isDenied)
    {
        if (_rows.TryFindRow(value, out int row))
        {
            double share = Math.Clamp(_rows.Count(row) / (double)Math.Max(1, _rows.Count(FilterBits.LiveRow)), 0, 1);
            return new ExactRow(row, isDenied, isDenied ? 1 - share : share);
        }

        IsExact = false;
        return isDenied ? Node.All : new BloomTerm(_rows.BloomRows(value), RareShare * _rows.Shape.FrequentShareMin);
    }

    private class Node(double share, int depth)
    {
        public static readonly Node All = new(1, 0);

        /// <summary>Share of slots expected to pass.</summary>
        public double Share => share;

        /// <summary>Places of the stack that its steps need.</summary>
        public int Depth => depth;

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

    private sealed class ExactRow(int row, bool isDenied, double share) : Node(share, 0)
    {
        public override void And(List<BitStep> steps, bool isFirst) => steps.Add(new BitStep(isDenied ? BitOp.AndNotRow : BitOp.AndRow, row));

        // Rows of dead slots keep old bits: the AND with the live slots at the bottom of the stack takes them out.
        public override void Or(List<BitStep> steps) => steps.Add(new BitStep(isDenied ? BitOp.OrNotRow : BitOp.OrRow, row));
    }

    private sealed class BloomTerm(int[] rows, double share) : Node(share, 1)
    {
        public override void And(List<BitStep> steps, bool isFirst) => steps.AddRange(rows.Select(row => new BitStep(BitOp.AndRow, ~row)));
    }

    private sealed class Both : Node
    {
        private readonly Node[] _conditions;

        private Both(List<Node> conditions)
            : base(conditions.Aggregate(1.0, (share, condition) => share * condition.Share), 1 + conditions.Max(condition => condition.Depth)) =>
            _conditions = [.. conditions.OrderBy(condition => condition.Share)];

        public static Node Of(Node left, Node right)
        {
            List<Node> conditions = [.. Parts(left), .. Parts(right)];
            conditions.RemoveAll(condition => condition == All);
            return conditions.Count switch { 0 => All, 1 => conditions[0], _ => new Both(conditions) };
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
            : base(1 - choices.Aggregate(1.0, (share, choice) => share * (1 - choice.Share)), 1 + choices.Max(choice => choice.Depth)) =>
            _choices = [.. choices];

        public static Node Of(Node left, Node right)
        {
            List<Node> choices = [.. Parts(left), .. Parts(right)];
            return choices.Contains(All) ? All : new Either(choices);
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
