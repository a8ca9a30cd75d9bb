using Mesh.Numerics;

namespace Mesh.Benchmarks.Ann;

/// <summary>One condition: the attribute is one of the values, or none of them.</summary>
internal sealed record AnnCondition(int Attribute, bool IsDenied, int[] Values)
{
    /// <summary>In FeedMesh's filter language, a value as tag aA-V.</summary>
    public string Text => $"{(IsDenied ? "NOT " : "")}({string.Join(" OR ", Values.Select(value => $"tag:{Tag(Attribute, value)}"))})";

    public bool Holds(int value) => Values.Contains(value) != IsDenied;

    public static string Tag(int attribute, int value) => $"a{attribute}-{value}";
}

/// <summary>A row of bits for each value of each attribute: what FAISS's selectors are made of, at the least cost there is.</summary>
internal sealed class ValueBitmaps
{
    // 16 KB: what is being put together stays in the first cache, and each value's row is read once.
    private const int BlockWords = 2_048;

    private readonly ulong[][][] _bits; // [attribute][value][words]
    private readonly int _rows;

    public ValueBitmaps(AnnData data)
    {
        _rows = data.Rows;
        _bits = [.. AnnData.Cardinalities.Select(count => Enumerable.Range(0, count).Select(_ => new ulong[Words]).ToArray())];
        for (int a = 0; a < _bits.Length; a++)
        {
            for (int row = 0; row < _rows; row++) _bits[a][data.Values[a][row]][row >> 6] |= 1ul << (row & 63);
        }
    }

    public int Words => (_rows + 63) / 64;

    public long Bytes => 8L * Words * AnnData.Cardinalities.Sum();

    /// <summary>Rows that a value has.</summary>
    public long Count(int attribute, int value) => BitWords.PopCount(_bits[attribute][value]);

    /// <summary>The rows that pass all conditions.</summary>
    /// <param name="selector">[Words], written; bit s of word w is row 64 w + s.</param>
    public void Select(AnnCondition[] conditions, Span<ulong> selector)
    {
        Span<ulong> any = stackalloc ulong[BlockWords];
        for (int from = 0; from < selector.Length; from += BlockWords)
        {
            Span<ulong> block = selector[from..Math.Min(selector.Length, from + BlockWords)];
            block.Fill(ulong.MaxValue);
            foreach (AnnCondition condition in conditions) And(condition, from, block, any[..block.Length]);
        }

        if (_rows % 64 != 0) selector[^1] &= (1ul << (_rows % 64)) - 1;
    }

    private void And(AnnCondition condition, int from, Span<ulong> block, Span<ulong> any)
    {
        ulong[][] rows = _bits[condition.Attribute];
        ReadOnlySpan<ulong> joined = rows[condition.Values[0]].AsSpan(from, any.Length);
        for (int i = 1; i < condition.Values.Length; i++)
        {
            BitWords.Or(joined, rows[condition.Values[i]].AsSpan(from, any.Length), any);
            joined = any;
        }

        if (condition.IsDenied) BitWords.AndNot(block, joined, block);
        else BitWords.And(block, joined, block);
    }
}

/// <summary>One filter for each query, all of about the same pass rate.</summary>
internal sealed class AnnFilterSet
{
    private const int ConditionCount = 7, ValuesMax = 6, Tries = 200, Lists = 64;

    private AnnFilterSet(double percent, AnnCondition[][] conditions, ulong[][] selectors)
    {
        (Percent, Conditions, Selectors) = (percent, conditions, selectors);
        Passing = [.. selectors.Select(bits => (int)BitWords.PopCount(bits))];
    }

    /// <summary>The pass rate that was asked for; 100 is no filter.</summary>
    public double Percent { get; }

    public bool IsOpen => Percent >= 100;

    public AnnCondition[][] Conditions { get; }

    /// <summary>Rows that pass, as bits, by query.</summary>
    public ulong[][] Selectors { get; }

    /// <summary>How many they are, by query.</summary>
    public int[] Passing { get; }

    /// <summary>In FeedMesh's filter language.</summary>
    public string Text(int query) => IsOpen ? "" : string.Join(" AND ", Conditions[query].Select(condition => condition.Text));

    /// <summary>Values that a filter names on average.</summary>
    public double MeanTerms => Conditions.Average(filter => filter.Sum(condition => condition.Values.Length));

    public static AnnFilterSet Make(AnnData data, ValueBitmaps bitmaps, double percent, int seed)
    {
        var random = new Random(seed);
        double[][] shares = [.. AnnData.Cardinalities.Select((count, a) =>
            Enumerable.Range(0, count).Select(value => bitmaps.Count(a, value) / (double)data.Rows).ToArray())];
        AnnCondition[][] conditions = [.. Enumerable.Range(0, data.QueryCount).Select(_ => percent >= 100 ? [] : Compose(shares, percent / 100, random))];
        var selectors = new ulong[data.QueryCount][];
        Parallel.For(0, selectors.Length, q =>
        {
            selectors[q] = new ulong[bitmaps.Words];
            bitmaps.Select(conditions[q], selectors[q]);
        });
        return new AnnFilterSet(percent, conditions, selectors);
    }

    // The best of a few compositions; as values are nearly independent, shares multiply.
    private static AnnCondition[] Compose(double[][] shares, double target, Random random)
    {
        AnnCondition[] best = [];
        double error = double.PositiveInfinity;
        for (int i = 0; i < Tries && error > 0.05; i++)
        {
            AnnCondition[] conditions = TryCompose(shares, target, random, out double share);
            double off = Math.Abs(Math.Log(share / target));
            if (off < error) (best, error) = (conditions, off);
        }

        return best;
    }

    // All attributes, and one with more than two values again. Each condition takes its part of what is left of the target.
    private static AnnCondition[] TryCompose(double[][] shares, double target, Random random, out double share)
    {
        int[] attributes = [.. Enumerable.Range(0, shares.Length), 1 + random.Next(shares.Length - 1)];
        random.Shuffle(attributes);
        var conditions = new AnnCondition[ConditionCount];
        double[][] left = [.. shares.Select(values => values.ToArray())]; // of values that the conditions so far admit
        share = 1;
        for (int i = 0; i < ConditionCount; i++)
        {
            double goal = Math.Pow(target / share, Math.Min(1, (0.5 + random.NextDouble()) / (ConditionCount - i)));
            double[] values = left[attributes[i]];
            double before = values.Sum();
            double SharePassing(AnnCondition condition) => values.Where((_, value) => condition.Holds(value)).Sum() / before;

            conditions[i] = Enumerable.Range(0, Lists).Select(_ => Draw(attributes[i], values.Length, random))
                .MinBy(condition => Math.Abs(Math.Log(Math.Max(1e-9, SharePassing(condition)) / goal)))!;
            share *= Math.Max(1e-9, SharePassing(conditions[i]));
            for (int value = 0; value < values.Length; value++)
            {
                if (!conditions[i].Holds(value)) values[value] = 0;
            }
        }

        return conditions;
    }

    // Frequent values and rare ones alike: ranks are drawn evenly in their logarithm.
    private static AnnCondition Draw(int attribute, int cardinality, Random random)
    {
        int count = 1 + random.Next(Math.Min(ValuesMax, cardinality));
        int[] values = [.. Enumerable.Range(0, count).Select(_ => (int)Math.Exp(random.NextDouble() * Math.Log(cardinality + 1)) - 1).Distinct()];
        return new AnnCondition(attribute, random.Next(2) == 0, values);
    }
}
