namespace Mesh.Benchmarks.Bloom;

/// <summary>Items with values drawn from a Zipf distribution: value v, counted from 0, is drawn in proportion to 1 / (v + 1). Seeded.</summary>
internal sealed class ValueCatalogue
{
    private readonly int[] _starts;
    private readonly int[] _values;

    /// <param name="items">Items.</param>
    /// <param name="perItem">Draws for an item on average, half of it to one and a half; a value drawn twice is there once.</param>
    /// <param name="distinct">Values that there are.</param>
    public ValueCatalogue(int items, int perItem, int distinct, int seed)
    {
        Distinct = distinct;
        var random = new Random(seed);
        double[] sums = new double[distinct];
        for (int v = 0; v < distinct; v++) sums[v] = (v == 0 ? 0 : sums[v - 1]) + (1.0 / (v + 1));

        _starts = new int[items + 1];
        var values = new List<int>(items * perItem);
        var own = new SortedSet<int>();
        for (int i = 0; i < items; i++)
        {
            own.Clear();
            for (int draws = random.Next(perItem / 2, perItem + (perItem / 2) + 1); draws > 0; draws--)
            {
                int at = Array.BinarySearch(sums, random.NextDouble() * sums[^1]);
                own.Add(Math.Min(distinct - 1, at < 0 ? ~at : at));
            }

            values.AddRange(own);
            _starts[i + 1] = values.Count;
        }

        _values = [.. values];
    }

    public int Items => _starts.Length - 1;

    public int Distinct { get; }

    public long Values => _values.Length;

    public long Bytes => 4L * (_starts.Length + _values.Length);

    /// <summary>Ascending, each once.</summary>
    public ReadOnlySpan<int> Of(int item) => _values.AsSpan(_starts[item], _starts[item + 1] - _starts[item]);

    public bool Holds(int item, int value) => Of(item).BinarySearch(value) >= 0;
}

/// <summary>An AND of conditions, each a list of values of which an item must have one.</summary>
internal sealed record ValueQuery(int[][] Conditions)
{
    /// <summary>Draws queries that an item of the catalogue passes: a value of its own in each list, and others of the same kind.</summary>
    /// <param name="kinds">For each condition, the range of values that it is drawn from.</param>
    public static ValueQuery Draw(ValueCatalogue catalogue, (int From, int To)[] kinds, int listLength, Random random)
    {
        var own = new List<int>();
        while (true)
        {
            int[] values = catalogue.Of(random.Next(catalogue.Items)).ToArray();
            random.Shuffle(values);
            own.Clear();
            foreach ((int from, int to) in kinds)
            {
                int found = Array.FindIndex(values, value => value >= from && value < to && !own.Contains(value));
                if (found >= 0) own.Add(values[found]);
            }

            if (own.Count == kinds.Length) break;
        }

        return new ValueQuery([.. kinds.Select((kind, i) => List(own[i], kind))]);

        int[] List(int first, (int From, int To) kind)
        {
            var list = new HashSet<int> { first };
            while (list.Count < Math.Min(listLength, kind.To - kind.From)) list.Add(random.Next(kind.From, kind.To));
            return [.. list];
        }
    }

    public bool Admits(ReadOnlySpan<int> values)
    {
        foreach (int[] condition in Conditions)
        {
            bool any = false;
            foreach (int value in condition)
            {
                if (values.Contains(value))
                {
                    any = true;
                    break;
                }
            }

            if (!any) return false;
        }

        return true;
    }
}

/// <summary>One way to find the items that a query admits.</summary>
internal interface IValueIndex
{
    string Name { get; }

    long Bytes { get; }

    /// <summary>How many items it admits; what names them is left in memory of its own.</summary>
    int Run(ValueQuery query);
}
