using Mesh.Contracts;
using Mesh.Gateway.Pipeline;
using Mesh.Gateway.Pipeline.Scorers;
using Mesh.Gateway.Pipeline.Selectors;
using Mesh.Gateway.Tests.Fakes;

namespace Mesh.Gateway.Tests;

/// <summary>Diversity, network factor and selection, by the arithmetic.</summary>
public sealed class ScoringTests
{
    [Theory]
    [InlineData(0, 0.7, 0, 1)]
    [InlineData(1, 0.7, 0, 0.7)]
    [InlineData(3, 0.7, 0, 0.343)]
    [InlineData(0, 0.5, 0.25, 1)]
    [InlineData(2, 0.5, 0.25, 0.4375)]
    [InlineData(1000, 0.5, 0.25, 0.25)]
    public void The_kth_item_of_an_author_has_its_factor(int rank, double factor, double floor, double expected) =>
        Assert.Equal(expected, AuthorDiversityScorer.Factor(rank, factor, floor), 12);

    [Fact]
    public async Task Diversity_ranks_each_author_by_score()
    {
        FeedCandidate[] candidates = [Scored("a1", "a", 0.2), Scored("a2", "a", 0.9), Scored("b1", "b", 0.5), Scored("a3", "a", 0.5)];

        (await new AuthorDiversityScorer(FilterTests.Params()).ScoreAsync(Query(10), candidates, default))();

        Assert.Equal([2, 0, 0, 1], candidates.Select(candidate => candidate.AuthorRank));
        Assert.Equal([0.2 * 0.49, 0.9, 0.5, 0.5 * 0.7], candidates.Select(candidate => Math.Round(candidate.Score, 12)));
    }

    [Theory]
    [InlineData(1, 0.7)]
    [InlineData(0, 0)]
    [InlineData(-1, -1.3)]
    public void An_attenuation_never_lifts_a_score(double score, double expected) =>
        Assert.Equal(expected, Attenuation.Apply(score, 0.7), 12);

    [Fact]
    public async Task Out_of_network_items_are_attenuated_where_the_user_follows_somebody()
    {
        FeedCandidate inside = Scored("i", "a", 1), outside = Scored("o", "b", 1);
        inside.InNetwork = true;
        FeedQuery query = Query(10);
        query.Context.Profile.Follows.Add("a");
        var scorer = new OutOfNetworkScorer(FilterTests.Params());

        (await scorer.ScoreAsync(query, [inside, outside], default))();

        Assert.True(scorer.IsEnabled(query));
        Assert.False(scorer.IsEnabled(Query(10)));
        Assert.Equal((1, 0.75), (inside.Score, outside.Score));
    }

    [Fact]
    public void Selection_takes_the_best_at_most_three_of_an_author_and_breaks_ties_by_id()
    {
        FeedCandidate[] candidates = [.. Enumerable.Range(0, 6).Select(i => Scored($"a{i}", "a", 0.9)), Scored("z", "b", 0.1), Scored("y", "c", 0.1)];

        Selection selection = new TopSelector(FilterTests.Params()).Select(Query(5), candidates);

        Assert.Equal(["a0", "a1", "a2", "y", "z"], selection.Selected.Select(candidate => candidate.ItemId));
        Assert.Equal(["a3", "a4", "a5"], selection.Reserve.Select(candidate => candidate.ItemId));
    }

    [Fact]
    public void Candidates_without_any_score_are_selected_last()
    {
        Selection selection = new TopSelector(FilterTests.Params()).Select(
            Query(1), [Scored("none", "a", double.NaN), Scored("bad", "b", -5)]);

        Assert.Equal("bad", Assert.Single(selection.Selected).ItemId);
    }

    private static FeedCandidate Scored(string itemId, string authorId, double score) =>
        new(FakeServices.Item(itemId, authorId)) { Composite = score };

    private static FeedQuery Query(int limit) => new() { RequestId = "r", UserId = "u", NowMs = 0, Limit = limit };
}
