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
    private const int TriesMax = 8;

    // A value that is not frequent is below the share that would make it so; nothing more is known of it.
    private const double RareShare = 0.5;

    private readonly FilterPlan _filter;
    private readonly FilterRows _rows;
    private Node _root = Node.All;
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

    /// <summary>
    /// Slots of a segment that the filter may admit: alive, not hidden, and with values that fit. Where a writer changes bits as fast
    /// as they are read, all that are alive.
    /// </summary>
    /// <param name="bits">Those that the segment has now: taken after the plan was made, or after the last false.</param>
    /// <param name="mask">[words of the segment], written; bit s of word w is slot 64 w + s.</param>
    /// <param name="admitted">How many there are.</param>
    /// <returns>False where values have become frequent: the plan is another now, and the segment may be too.</returns>
    public bool TryAdmit(FilterBits bits, Span<ulong> mask, out int admitted)
    {
        bool isOfOneMoment = false;
        for (int i = 0; i < TriesMax && !isOfOneMoment; i++)
        {
            int version = bits.BeginRead();
            bits.Exact(FilterBits.LiveRow).CopyTo(mask);
            BitWords.And(mask, bits.Exact(FilterBits.VisibleRow), mask);
            _root.And(bits, mask);
            isOfOneMoment = bits.EndRead(version);
        }

        if (!isOfOneMoment)
        {
            bits.Exact(FilterBits.LiveRow).CopyTo(mask);
            bits.EndRead(0); // the slots are read after their bits
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

        _root = operands.Count == 0 ? Node.All : operands.Pop()(false);
        double live = Math.Max(1, _rows.Count(FilterBits.LiveRow));
        PassShare = Math.Clamp(_root.Share * _rows.Count(FilterBits.VisibleRow) / live, 0, 1);
    }

    private Node Term(FilterValue value, bool isDenied)
    {
        if (_rows.TryFindRow(value, out int row))
        {
            double share = Math.Clamp(_rows.Count(row) / (double)Math.Max(1, _rows.Count(FilterBits.LiveRow)), 0, 1);
            return new ExactRow(row, isDenied, isDenied ? 1 - share : share);
        }

        return isDenied ? Node.All : new BloomRows(_rows.BloomRows(value), RareShare * _rows.Shape.FrequentShareMin);
    }

    private class Node(double share)
    {
        public static readonly Node All = new(1);

        /// <summary>Share of slots expected to pass.</summary>
        public double Share => share;

        /// <summary>Takes out of the mask what the node does not admit.</summary>
        public virtual void And(FilterBits bits, Span<ulong> mask)
        {
        }

        /// <summary>Adds to the mask what the node admits of the slots asked about.</summary>
        public virtual void Or(FilterBits bits, ReadOnlySpan<ulong> asked, Span<ulong> mask)
        {
            Span<ulong> admitted = stackalloc ulong[asked.Length];
            asked.CopyTo(admitted);
            And(bits, admitted);
            BitWords.Or(mask, admitted, mask);
        }
    }

    private sealed class ExactRow(int row, bool isDenied, double share) : Node(share)
    {
        public override void And(FilterBits bits, Span<ulong> mask)
        {
            if (isDenied) BitWords.AndNot(mask, bits.Exact(row), mask);
            else BitWords.And(mask, bits.Exact(row), mask);
        }

        // Rows of dead slots keep old bits: the caller's AND with the slots asked about takes them out.
        public override void Or(FilterBits bits, ReadOnlySpan<ulong> asked, Span<ulong> mask)
        {
            if (isDenied) base.Or(bits, asked, mask);
            else BitWords.Or(mask, bits.Exact(row), mask);
        }
    }

    private sealed class BloomRows(int[] rows, double share) : Node(share)
    {
        public override void And(FilterBits bits, Span<ulong> mask)
        {
            foreach (int row in rows)
            {
                BitWords.And(mask, bits.Bloom(row), mask);
                if (!mask.ContainsAnyExcept(0ul)) return;
            }
        }
    }

    private sealed class Both : Node
    {
        private readonly Node[] _conditions;

        private Both(List<Node> conditions) : base(conditions.Aggregate(1.0, (share, condition) => share * condition.Share)) =>
            _conditions = [.. conditions.OrderBy(condition => condition.Share)];

        public static Node Of(Node left, Node right)
        {
            List<Node> conditions = [.. Parts(left), .. Parts(right)];
            conditions.RemoveAll(condition => condition == All);
            return conditions.Count switch { 0 => All, 1 => conditions[0], _ => new Both(conditions) };
        }

        public override void And(FilterBits bits, Span<ulong> mask)
        {
            foreach (Node condition in _conditions)
            {
                condition.And(bits, mask);
                if (!mask.ContainsAnyExcept(0ul)) return;
            }
        }

        private static Node[] Parts(Node node) => node is Both both ? both._conditions : [node];
    }

    private sealed class Either : Node
    {
        private readonly Node[] _choices;

        private Either(List<Node> choices) : base(1 - choices.Aggregate(1.0, (share, choice) => share * (1 - choice.Share))) => _choices = [.. choices];

        public static Node Of(Node left, Node right)
        {
            List<Node> choices = [.. Parts(left), .. Parts(right)];
            return choices.Contains(All) ? All : new Either(choices);
        }

        public override void And(FilterBits bits, Span<ulong> mask)
        {
            Span<ulong> admitted = stackalloc ulong[mask.Length];
            admitted.Clear();
            foreach (Node choice in _choices) choice.Or(bits, mask, admitted);
            BitWords.And(mask, admitted, mask);
        }

        private static Node[] Parts(Node node) => node is Either either ? either._choices : [node];
    }
}
