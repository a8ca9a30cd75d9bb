using Mesh.Numerics;

namespace Mesh.Benchmarks.Bloom;

/// <summary>The items' own value lists, read through: nothing is built, and every item is asked.</summary>
internal sealed class ForwardIndex(ValueCatalogue catalogue) : IValueIndex
{
    private readonly ulong[] _mask = new ulong[(catalogue.Items + 63) / 64];

    public string Name => "forward";

    public long Bytes => catalogue.Bytes;

    public int Run(ValueQuery query)
    {
        int admitted = 0;
        Array.Clear(_mask);
        for (int i = 0; i < catalogue.Items; i++)
        {
            if (!query.Admits(catalogue.Of(i))) continue;
            _mask[i >> 6] |= 1UL << (i & 63);
            admitted++;
        }

        return admitted;
    }
}

/// <summary>
/// A bitmap of all items for each value. Made for the values of the queries only, as all of them may not fit the machine; <see cref="Bytes"/> is
/// what all would take.
/// </summary>
internal sealed class ValueBitmaps(ValueCatalogue catalogue) : IValueIndex
{
    private readonly Dictionary<int, ulong[]> _bitmaps = [];
    private readonly ulong[] _mask = new ulong[(catalogue.Items + 63) / 64];
    private readonly ulong[] _any = new ulong[(catalogue.Items + 63) / 64];

    public string Name => "bitmaps";

    public long Bytes => (long)catalogue.Distinct * 8 * _mask.Length;

    public void Make(IEnumerable<ValueQuery> queries)
    {
        foreach (int value in queries.SelectMany(static query => query.Conditions).SelectMany(static list => list)) _bitmaps.TryAdd(value, new ulong[_mask.Length]);
        for (int i = 0; i < catalogue.Items; i++)
        {
            foreach (int value in catalogue.Of(i))
            {
                if (_bitmaps.TryGetValue(value, out ulong[]? bitmap)) bitmap[i >> 6] |= 1UL << (i & 63);
            }
        }
    }

    public int Run(ValueQuery query)
    {
        _mask.AsSpan().Fill(~0UL);
        foreach (int[] condition in query.Conditions)
        {
            _bitmaps[condition[0]].CopyTo(_any, 0);
            foreach (int value in condition.AsSpan(1)) BitWords.Or(_any, _bitmaps[value], _any);
            BitWords.And(_mask, _any, _mask);
        }

        return (int)BitWords.PopCount(_mask);
    }
}
