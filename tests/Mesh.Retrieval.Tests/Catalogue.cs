using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

/// <summary>
/// A seeded catalogue with structure: unit vectors around centres of uneven sizes, noise that decays over the dimensions, two codes by
/// residual k-means, and tags pass-R that a share R of the items has, independent of the vectors.
/// </summary>
internal sealed class Catalogue
{
    public const int Dimensions = 64;

    private static readonly (string Tag, double Share)[] Passes = [("pass-0.1", 0.001), ("pass-1", 0.01), ("pass-10", 0.1), ("pass-50", 0.5)];

    private readonly float[][] _centres;
    private readonly Random _random;

    /// <param name="tags">More tags of an item, by its number.</param>
    public Catalogue(int items, int centres, int codes, int seed, Func<int, string[]>? tags = null)
    {
        _random = new Random(seed);
        float[][] regions = [.. Enumerable.Range(0, 1 + (centres / 32)).Select(_ => Make.RandomVector(_random, Dimensions))];
        _centres = [.. Enumerable.Range(0, centres).Select(_ => Near(regions[_random.Next(regions.Length)], 0.7))];
        float[][] vectors = [.. Enumerable.Range(0, items).Select(_ => Vector())];
        ResidualCodebooks codebooks = ResidualKMeans.Fit(
            vectors.Take(4_096).SelectMany(vector => vector).ToArray(), Dimensions, new ResidualKMeansSettings(2, codes, 6)).Codebooks;
        ushort[] code = new ushort[2];
        Items = [.. vectors.Select((vector, i) =>
        {
            codebooks.Encode(vector, code);
            return (new ItemFacts(ItemOf(i, tags), [code[0], code[1]]), vector);
        })];
    }

    public (ItemFacts Facts, float[] Vector)[] Items { get; }

    public float[] Vector() => Near(_centres[(int)(_centres.Length * _random.NextDouble() * _random.NextDouble())], 0.5);

    public QueryVectors Queries(int count) => new([.. Enumerable.Range(0, count).SelectMany(_ => Vector())], Dimensions);

    /// <summary>Puts every item into an index, in order.</summary>
    /// <param name="eligibility">Of an item by its number; everybody's where it is null.</param>
    public void Fill(IVectorIndex index, Func<int, Eligibility>? eligibility = null)
    {
        for (int i = 0; i < Items.Length; i++)
        {
            var row = new Row();
            Eligibility shownTo = eligibility?.Invoke(i) ?? new Eligibility();
            int slot = index.Upsert(row, Items[i].Facts, shownTo, Items[i].Vector);
            row.State = new RowState(Items[i].Facts, new Counters(), shownTo, (ulong)i + 1, slot);
            index.Publish();
        }
    }

    public static RowFilter Filter(string text)
    {
        Assert.True(FilterParser.TryParse(text, out FilterPlan plan, out string fault), fault);
        return new RowFilter(ItemHashSet.Empty, Audience.Anyone, plan);
    }

    private Item ItemOf(int number, Func<int, string[]>? tags)
    {
        var item = new Item { ItemId = $"item-{number}", AuthorId = $"author-{_random.Next(2_000)}", CreatedAtMs = Make.Now, Language = _random.Next(3) == 0 ? "de" : "en" };
        foreach ((string tag, double share) in Passes)
        {
            if (_random.NextDouble() < share) item.Tags.Add(tag);
        }

        if (tags is not null) item.Tags.AddRange(tags(number));
        return item;
    }

    private float[] Near(float[] centre, double noise)
    {
        var vector = new float[Dimensions];
        double norm = 0;
        for (int d = 0; d < Dimensions; d++)
        {
            vector[d] = (float)(((2 * _random.NextDouble()) - 1) * Math.Pow(d + 1, -0.4));
            norm += vector[d] * vector[d];
        }

        for (int d = 0; d < Dimensions; d++) vector[d] = centre[d] + (float)(noise * vector[d] / Math.Sqrt(norm));
        return Make.Unit(vector);
    }
}
