namespace Mesh.Contracts.Tests;

public sealed class ActionTaxonomyTests
{
    [Fact]
    public void The_taxonomy_is_the_fourteen_actions_in_the_order_every_vector_uses()
    {
        Assert.Equal(
            ["like", "reply", "repost", "quote", "follow_author", "share", "profile_click", "click", "dwell", "video_complete", "save",
                "not_interested", "block_author", "report"],
            ActionTaxonomy.Default.Names);
        Assert.Equal([0.8f, 1.2f, 0.9f, 0.7f, 1.5f, 1.1f, 0.6f, 0.5f, 0.4f, 1.0f, 0.8f, -1.5f, -2.0f, -1.8f], ActionTaxonomy.Default.DefaultWeights);
    }

    [Fact]
    public void Index_and_name_are_inverse_and_the_impression_comes_last()
    {
        ActionTaxonomy taxonomy = ActionTaxonomy.Default;

        Assert.All(Enumerable.Range(0, taxonomy.CounterCount), index => Assert.Equal(index, taxonomy.IndexOf(taxonomy.NameOf(index))));
        Assert.Equal(taxonomy.Count, taxonomy.IndexOf("impression"));
        Assert.Equal(-1, taxonomy.IndexOf("dance"));
    }

    [Fact]
    public void Negative_actions_are_those_with_a_negative_weight()
    {
        string[] negative = [.. Enumerable.Range(0, ActionTaxonomy.Default.CounterCount).Where(ActionTaxonomy.Default.IsNegative).Select(ActionTaxonomy.Default.NameOf)];

        Assert.Equal(["not_interested", "block_author", "report"], negative);
    }
}
