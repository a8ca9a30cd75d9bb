using Mesh.Retrieval.Filters;

namespace Mesh.Retrieval.Tests;

public sealed class FilterRowsTests
{
    [Theory]
    [InlineData(512, 5)]
    [InlineData(1_024, 5)]
    [InlineData(65_536, 16)]
    public void Values_fall_together_in_their_Bloom_rows_no_more_often_than_independent_hashes_would(int bits, int hashes)
    {
        FilterRows rows = Rows(bits, hashes);

        List<string> sets = [.. Enumerable.Range(0, 20_000).Select(i => string.Join(',', rows.BloomRows(Tag(i)).Order()))];

        // Sets of five of 512 rows are 3e11: two of 20,000 values meet once in a thousand runs. Hashes of strings are of 32 bits: 0.05 pairs.
        Assert.InRange(sets.Distinct().Count(), 19_997, 20_000);
    }

    [Theory]
    [InlineData(512, 13)]
    [InlineData(1_024, 13)]
    [InlineData(512, 60)]
    public void False_positives_are_as_many_as_theory_has_them(int bits, int values)
    {
        const int Items = 400, Asked = 2_000;
        FilterRows rows = Rows(bits, 5);
        int[][] asked = [.. Enumerable.Range(0, Asked).Select(i => rows.BloomRows(Tag(1_000_000 + i)))];
        int wrong = 0;
        for (int item = 0; item < Items; item++)
        {
            var signature = new HashSet<int>(Enumerable.Range(0, values).SelectMany(v => rows.BloomRows(Tag((item * values) + v))));
            wrong += asked.Count(value => value.All(signature.Contains));
        }

        double expected = Items * (double)Asked * Math.Pow(1 - Math.Pow(1 - (1.0 / bits), 5 * values), 5);

        // Hashes differ with every process. Items share the values asked, which spreads the count somewhat wider than its root.
        Assert.InRange(wrong, 0, (2 * expected) + 20);
        if (expected > 1_000) Assert.InRange(wrong, expected / 2, 2 * expected);
    }

    [Fact]
    public void Rows_are_within_the_signature_and_the_same_for_equal_values()
    {
        FilterRows rows = Rows(64, 16);

        Assert.All(Enumerable.Range(0, 500), i => Assert.All(rows.BloomRows(Tag(i)), row => Assert.InRange(row, 0, 63)));
        Assert.Equal(rows.BloomRows(new FilterValue(FilterField.Language, "", "EN")), rows.BloomRows(new FilterValue(FilterField.Language, "", "en")));
    }

    [Fact]
    public void A_set_of_rows_holds_each_once_in_order_of_arrival_and_forgets_all()
    {
        var set = new RowSet();
        int[] rows = [5, 0, 63, 64, 1_023, 1_024, 65_535];
        foreach (int row in rows.Concat(rows)) set.Add(row);
        Assert.Equal(rows, set.All.ToArray());
        Assert.All(rows, row => Assert.True(set.Contains(row)));
        Assert.False(set.Contains(1));
        Assert.False(set.Contains(1_000_000));

        set.Clear();
        Assert.Equal(0, set.All.Length);
        Assert.All(rows, row => Assert.False(set.Contains(row)));
        foreach (int row in Enumerable.Range(0, 300)) set.Add(row);
        Assert.Equal(Enumerable.Range(0, 300), set.All.ToArray());
    }

    private static FilterValue Tag(int number) => new(FilterField.Tag, "", $"value-{number}");

    private static FilterRows Rows(int bits, int hashes) => new(new FilterShape(bits, hashes, 0.002, 1_024));
}
