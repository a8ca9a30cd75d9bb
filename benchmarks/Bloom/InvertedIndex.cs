namespace Mesh.Benchmarks.Bloom;

/// <summary>
/// A sorted list of items for each value. The condition with the shortest lists is united by merging; each of its items is then looked for in the
/// lists of the others, from where the last one was found, in steps that double (galloping), so that long lists are not read through.
/// </summary>
internal sealed class InvertedIndex : IValueIndex
{
    private readonly int[][] _lists;
    private int[] _found = [];
    private int[] _merged = [];

    public InvertedIndex(ValueCatalogue catalogue)
    {
        int[] counts = new int[catalogue.Distinct];
        for (int i = 0; i < catalogue.Items; i++) foreach (int value in catalogue.Of(i)) counts[value]++;
        _lists = [.. counts.Select(static count => new int[count])];
        Array.Clear(counts);
        for (int i = 0; i < catalogue.Items; i++) foreach (int value in catalogue.Of(i)) _lists[value][counts[value]++] = i;
    }

    public string Name => "inverted";

    public long Bytes => _lists.Sum(static list => 4L * list.Length + 24);

    public int Count(int value) => _lists[value].Length;

    public int Run(ValueQuery query)
    {
        int[][] conditions = [.. query.Conditions.OrderBy(condition => condition.Sum(Count))];
        int found = Unite(conditions[0]);
        foreach (int[] condition in conditions.AsSpan(1)) found = Keep(condition, found);
        return found;
    }

    private int Unite(int[] values)
    {
        int most = values.Sum(Count);
        if (_found.Length < most) (_found, _merged) = (new int[most], new int[most]);
        int found = 0;
        foreach (int value in values) found = Merge(found, _lists[value]);
        return found;
    }

    private int Merge(int found, int[] list)
    {
        int i = 0, j = 0, n = 0;
        while (i < found && j < list.Length)
        {
            int x = _found[i], y = list[j];
            _merged[n++] = Math.Min(x, y);
            if (x <= y) i++;
            if (y <= x) j++;
        }

        for (; i < found; i++) _merged[n++] = _found[i];
        for (; j < list.Length; j++) _merged[n++] = list[j];
        (_found, _merged) = (_merged, _found);
        return n;
    }

    private int Keep(int[] values, int found)
    {
        Span<int> at = stackalloc int[values.Length];
        at.Clear();
        int kept = 0;
        for (int i = 0; i < found; i++)
        {
            int item = _found[i];
            for (int v = 0; v < values.Length; v++)
            {
                int[] list = _lists[values[v]];
                at[v] = Gallop(list, at[v], item);
                if (at[v] == list.Length || list[at[v]] != item) continue;
                _found[kept++] = item;
                break;
            }
        }

        return kept;
    }

    // The first place at or after `from` whose item is not smaller.
    private static int Gallop(int[] list, int from, int item)
    {
        int step = 1, low = from;
        while (low + step < list.Length && list[low + step] < item)
        {
            low += step;
            step *= 2;
        }

        int high = Math.Min(list.Length, low + step + 1);
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (list[middle] < item) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
