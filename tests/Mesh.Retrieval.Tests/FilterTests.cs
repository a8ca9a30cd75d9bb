using Mesh.Contracts;
using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Tests;

public sealed class FilterTests
{
    [Theory]
    [InlineData("", true)]
    [InlineData("   ", true)]
    [InlineData("tag:news", true)]
    [InlineData("tag:News", false)]
    [InlineData("tag:sport", false)]
    [InlineData("author:ann", true)]
    [InlineData("item:i1", true)]
    [InlineData("language:EN", true)]
    [InlineData("safety:safe", true)]
    [InlineData("attribute.colour:red", true)]
    [InlineData("attribute.colour:blue", false)]
    [InlineData("attribute.size:red", false)]
    [InlineData("tag:\"rock and roll\"", true)]
    [InlineData("tag:\"a\\\"b\\\\c\"", true)]
    [InlineData("tag:a:b", true)]
    [InlineData("NOT tag:news", false)]
    [InlineData("NOT NOT tag:news", true)]
    [InlineData("tag:sport OR tag:news AND author:bob", false)]
    [InlineData("(tag:news OR tag:sport) AND author:ann", true)]
    [InlineData("NOT tag:sport AND author:ann", true)]
    [InlineData("NOT (tag:sport OR author:ann)", false)]
    [InlineData("(((tag:news)))", true)]
    [InlineData("NOT(tag:sport)AND(tag:news)", true)]
    public void A_filter_admits_exactly_what_it_says(string filter, bool admits)
    {
        ItemRow row = Make.Row("i1", "ann", tags: ["news", "rock and roll", "a\"b\\c", "a:b"], language: "en", eligibility: new Eligibility { Safety = "safe" });
        row.Item.Attributes["colour"] = "red";

        Assert.True(FilterParser.TryParse(filter, out FilterPlan plan, out string fault), fault);
        Assert.Equal(admits, plan.Admits(State(row)));
    }

    [Theory]
    [InlineData("tag", "at position 0: 'tag' is not followed by ':'")]
    [InlineData("tag:", "at position 4: a value is missing")]
    [InlineData("colour:red", "at position 0: 'colour' is not a field")]
    [InlineData("attribute.:red", "at position 0: 'attribute.' is not a field")]
    [InlineData("tag:a tag:b", "at position 6: found 'tag:b' where AND, OR or the end was expected")]
    [InlineData("tag:a and tag:b", "at position 6: found 'and'")]
    [InlineData("tag:a AND", "at position 9: found the end where a field")]
    [InlineData("OR tag:a", "at position 0: 'OR' is not followed by ':'")]
    [InlineData("(tag:a", "at position 6: found the end where ')' was expected")]
    [InlineData("tag:a)", "at position 5: found ')' where AND, OR or the end was expected")]
    [InlineData("()", "at position 1: found ')' where a field")]
    [InlineData("tag:\"open", "at position 4: the quoted value does not end")]
    [InlineData("tag:\"open\\", "at position 4: the quoted value does not end")]
    [InlineData("tag:a\"b\"", "at position 5: found '\"b\"'")]
    public void A_wrong_filter_is_refused_with_its_position(string filter, string expected)
    {
        Assert.False(FilterParser.TryParse(filter, out _, out string fault));
        Assert.StartsWith(expected, fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Depth_and_length_are_bounded()
    {
        string Nested(int depth) => $"{new string('(', depth - 1)}tag:a{new string(')', depth - 1)}";
        string Negated(int depth) => $"{string.Concat(Enumerable.Repeat("NOT ", depth - 1))}tag:a";

        Assert.True(FilterParser.TryParse(Nested(32), out _, out _));
        Assert.True(FilterParser.TryParse(Negated(32), out _, out _));
        Assert.False(FilterParser.TryParse(Nested(33), out _, out string deep));
        Assert.False(FilterParser.TryParse(Negated(33), out _, out _));
        Assert.False(FilterParser.TryParse($"tag:{new string('x', 1_997)}", out _, out string length));
        Assert.True(FilterParser.TryParse($"tag:{new string('x', 1_996)}", out _, out _));
        Assert.Contains("deeper than 32", deep, StringComparison.Ordinal);
        Assert.Contains("2001 characters", length, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_agrees_with_a_naive_evaluation_of_the_expression()
    {
        var random = new Random(7);
        RowState[] rows = [.. Enumerable.Range(0, 40).Select(i => State(IndexModel.RandomRow(random, $"item-{i}")))];
        for (int round = 0; round < 500; round++)
        {
            FilterExpression expression = FilterExpression.Random(random, depth: 6);

            Assert.True(FilterParser.TryParse(expression.Print(random), out FilterPlan plan, out string fault), fault);
            foreach (RowState row in rows) Assert.Equal(expression.Holds(row), plan.Admits(row));
        }
    }

    [Theory]
    [InlineData("", "", true)]
    [InlineData("en", "", true)]
    [InlineData("en-US", "", true)]
    [InlineData("EN", "", true)]
    [InlineData("eng", "", false)]
    [InlineData("fr", "", false)]
    [InlineData("", "DE", true)]
    [InlineData("", "de", true)]
    [InlineData("", "US", false)]
    [InlineData("de-AT", "de", true)]
    [InlineData("fr", "DE", false)]
    public void Eligibility_lists_admit_unknown_viewers_and_those_within_them(string language, string region, bool maySee)
    {
        var eligibility = new Eligibility { Languages = { "en", "de" }, Regions = { "DE" } };

        Assert.Equal(maySee, new Audience(language, region).MaySee(eligibility));
        Assert.True(new Audience(language, region).MaySee(new Eligibility()));
        Assert.False(new Audience(language, region).MaySee(new Eligibility { Hidden = true }));
    }

    [Fact]
    public void A_hash_set_holds_exactly_what_was_given()
    {
        var random = new Random(3);
        HashSet<uint> expected = [0, 1, uint.MaxValue, .. Enumerable.Range(0, 20_000).Select(_ => (uint)random.NextInt64(1 << 20))];
        var set = new ItemHashSet([.. expected]);

        for (uint hash = 0; hash < 1 << 20; hash++) Assert.Equal(expected.Contains(hash), set.Contains(hash));
        Assert.True(set.Contains(uint.MaxValue));
        Assert.False(ItemHashSet.Empty.Contains(0));
        Assert.False(new ItemHashSet([5]).Contains(0));
    }

    [Fact]
    public void A_filter_that_comes_again_is_the_same_plan_until_too_many_have_come()
    {
        Assert.True(FilterPlans.TryParse("tag:kept", out FilterPlan first, out _));
        Assert.True(FilterPlans.TryParse("tag:kept", out FilterPlan again, out _));
        Assert.Same(first, again);
        Assert.False(FilterPlans.TryParse("tag:", out _, out string fault));
        Assert.NotEmpty(fault);

        for (int i = 0; i < FilterPlans.KeptMax; i++) Assert.True(FilterPlans.TryParse($"tag:flood-{i}", out _, out _));
        Assert.True(FilterPlans.TryParse("tag:kept", out FilterPlan after, out _));
        Assert.NotSame(first, after);
    }

    private static RowState State(ItemRow row) => Make.Index(row).Find(row.Item.ItemId)!;
}
