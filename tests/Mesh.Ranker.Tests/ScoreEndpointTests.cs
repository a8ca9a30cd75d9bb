using System.Net;
using Mesh.Contracts;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Tests;

public sealed class ScoreEndpointTests
{
    [Fact]
    public async Task Scores_come_in_the_order_of_the_candidates_with_what_they_are_made_of()
    {
        using var app = new RankerApp();
        ScoreRequest request = ScoreRequests.Request(seed: 1, 30);

        ScoreResponse response = await app.ScoreAsync(request);

        Assert.Equal(("heuristic", "heuristic-1"), (response.Arm, response.ModelVersion));
        Assert.Equal(ActionTaxonomy.Default.DefaultWeights, response.Weights);
        Assert.Equal(request.Candidates.Select(candidate => candidate.ItemId), response.Scores.Select(score => score.ItemId));
        foreach (CandidateScore score in response.Scores)
        {
            Assert.Equal(14, score.Probabilities.Count);
            Assert.Equal(score.Probabilities.Zip(response.Weights, (p, w) => (double)p * w).Sum(), score.Score, 1e-5);
        }
    }

    [Fact]
    public async Task No_candidates_are_no_fault()
    {
        using var app = new RankerApp();

        ScoreResponse response = await app.ScoreAsync(new ScoreRequest { NowMs = ScoreRequests.NowMs });

        Assert.Empty(response.Scores);
    }

    [Fact]
    public async Task Five_thousand_candidates_are_scored_and_one_more_is_refused()
    {
        using var app = new RankerApp();
        ScoreRequest request = ScoreRequests.Request(seed: 1, 5_000);
        Assert.Equal(5_000, (await app.ScoreAsync(request)).Scores.Count);

        request.Candidates.Add(new Candidate { ItemId = "one-more" });
        using HttpResponseMessage refused = await app.PostAsync(request);

        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("5001 candidates", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_arm_and_ragged_columns_are_named_in_one_answer()
    {
        using var app = new RankerApp();
        var request = new ScoreRequest { Arm = "nonsense", Sequence = new Sequence { ItemIds = { "a" } } };

        using HttpResponseMessage response = await app.PostAsync(request);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        string body = await response.Content.ReadAsStringAsync();
        Assert.Contains("nonsense", body, StringComparison.Ordinal);
        Assert.Contains("columns differ", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Broken_numbers_in_a_candidate_come_out_as_numbers()
    {
        using var app = new RankerApp();
        var request = new ScoreRequest { NowMs = ScoreRequests.NowMs };
        request.Candidates.Add(new Candidate { ItemId = "nan", Similarity = float.NaN });
        request.Candidates.Add(new Candidate { ItemId = "zero", Similarity = 0 });

        ScoreResponse response = await app.ScoreAsync(request);

        Assert.Equal(response.Scores[1].Score, response.Scores[0].Score);
        Assert.All(response.Scores, score => Assert.True(float.IsFinite(score.Score)));
    }

    [Fact]
    public async Task A_request_whose_budget_is_spent_is_answered_504()
    {
        using var app = new RankerApp();

        using HttpResponseMessage response = await app.PostAsync(ScoreRequests.Request(seed: 1, 100), budgetMs: 0);

        Assert.Equal(HttpStatusCode.GatewayTimeout, response.StatusCode);
    }

    [Fact]
    public async Task Weights_change_while_the_service_runs_and_a_faulty_change_is_refused()
    {
        using var app = new RankerApp(new() { ["Ranker:Weights:like"] = "3" });
        ScoreRequest request = ScoreRequests.Request(seed: 1, 1);
        Assert.Equal(3, (await app.ScoreAsync(request)).Weights[0]);

        app.Settings.Change("Ranker:Weights:like", "5");
        ScoreResponse changed = await app.ScoreAsync(request);
        app.Settings.Change("Ranker:Weights:nonsense", "1");
        ScoreResponse afterFault = await app.ScoreAsync(request);

        Assert.Equal(5, changed.Weights[0]);
        Assert.Equal(changed.Weights, afterFault.Weights);
        Assert.Equal(changed.Scores[0].Probabilities.Zip(changed.Weights, (p, w) => (double)p * w).Sum(), changed.Scores[0].Score, 1e-5);
    }

    [Theory]
    [InlineData("Ranker:Weights:nonsense", "1", "nonsense")]
    [InlineData("Ranker:Heuristic:PriorRates:like", "1.5", "PriorRates:like")]
    [InlineData("Ranker:Heuristic:Positive:AuthorLiked", "21", "AuthorLiked")]
    [InlineData("Ranker:Heuristic:PriorStrength", "0", "PriorStrength")]
    public void A_faulty_setting_stops_the_start_and_is_named(string key, string value, string named)
    {
        using var app = new RankerApp(new() { [key] = value });

        var exception = Assert.Throws<OptionsValidationException>(() => app.CreateClient());

        Assert.Contains(named, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_default_arm_without_a_scorer_stops_the_start()
    {
        using var app = new RankerApp(new() { ["Ranker:DefaultArm"] = "nonsense" });

        var exception = Assert.Throws<InvalidOperationException>(() => app.CreateClient());

        Assert.Contains("nonsense", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Status_names_the_model_and_the_arms()
    {
        using var app = new RankerApp();
        using HttpClient client = app.CreateClient();

        RankerStatus status = RankerStatus.Parser.ParseFrom(await client.GetByteArrayAsync("status"));

        Assert.Equal("heuristic-1", status.ModelVersion);
        Assert.Equal(["explore", "heuristic", "transformer"], status.Arms);
        Assert.Empty(status.ModelVersions);
    }
}
