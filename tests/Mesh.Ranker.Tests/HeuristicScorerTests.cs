using FsCheck;
using FsCheck.Fluent;
using Mesh.Contracts;
using Mesh.Ranker.Heuristic;
using Mesh.Ranker.Scoring;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Tests;

public sealed class HeuristicScorerTests
{
    private static readonly HeuristicScorer Scorer = new(Options.Create(new HeuristicOptions()), TimeProvider.System);

    [Theory]
    [InlineData("like", 1)]
    [InlineData("follow_author", 1)]
    [InlineData("click", 1)]
    [InlineData("not_interested", -1)]
    [InlineData("block_author", -1)]
    [InlineData("report", -1)]
    public async Task An_action_on_an_author_moves_that_authors_items_the_way_it_means(string action, int direction)
    {
        ScoreRequest request = ScoreRequests.OneAction(action, author: "a", tag: "none-of-these");

        float[] scores = await ScoresAsync(request);

        Assert.Equal(direction, scores[0].CompareTo(scores[1]));
    }

    [Theory]
    [InlineData("like", 1)]
    [InlineData("not_interested", -1)]
    public async Task An_action_on_a_tag_moves_items_with_that_tag(string action, int direction)
    {
        ScoreRequest request = ScoreRequests.OneAction(action, author: "somebody-else", tag: "cats");

        float[] scores = await ScoresAsync(request);

        Assert.Equal(direction, scores[0].CompareTo(scores[1]));
    }

    [Fact]
    public async Task A_block_makes_every_positive_action_less_likely_and_every_negative_one_more()
    {
        ScoreRequest request = ScoreRequests.OneAction("block_author", "a", "none-of-these");
        foreach (Candidate candidate in request.Candidates) candidate.DurationMs = 1;

        float[] p = await Scorer.PredictAsync(request, CancellationToken.None);

        for (int action = 0; action < 14; action++)
        {
            int direction = ActionTaxonomy.Default.IsNegative(action) ? 1 : -1;
            Assert.True(p[action].CompareTo(p[14 + action]) == direction, $"{ActionTaxonomy.Default.NameOf(action)}: {p[action]} against {p[14 + action]}");
        }
    }

    [Fact]
    public async Task Two_users_with_different_histories_get_different_rankings()
    {
        ScoreRequest likesA = ScoreRequests.Request(seed: 8, 100), likesB = likesA.Clone();
        foreach ((ScoreRequest request, int parity) in new[] { (likesA, 0), (likesB, 1) })
        {
            request.History.Clear();
            request.Sequence = new Sequence();
            for (int i = 0; i < 30; i++)
            {
                int author = ((i * 2) + parity) % 20;
                request.History.Add(new HistoryItem { ItemId = $"past-{i}", AuthorId = $"author-{author}", Tags = { $"tag-{author / 2}" } });
                ScoreRequests.Did(request, $"past-{i}", "like", ScoreRequests.NowMs - 1_000_000);
            }
        }

        string[] topOfA = await TopAsync(likesA, 20), topOfB = await TopAsync(likesB, 20);

        Assert.True(topOfA.Intersect(topOfB).Count() <= 15, $"{topOfA.Intersect(topOfB).Count()} of 20 are the same");
        Assert.NotEqual(topOfA, topOfB);
    }

    [Fact]
    public async Task An_old_action_counts_for_less_than_a_new_one()
    {
        ScoreRequest fresh = ScoreRequests.OneAction("like", "a", "x"), old = fresh.Clone();
        old.Sequence.TimesMs[0] = ScoreRequests.NowMs - (long)TimeSpan.FromDays(100).TotalMilliseconds;

        float[] freshScores = await ScoresAsync(fresh), oldScores = await ScoresAsync(old);

        Assert.True(freshScores[0] > oldScores[0]);
        Assert.True(oldScores[0] > oldScores[1]);
    }

    [Fact]
    public async Task Many_likes_do_not_hide_a_block()
    {
        ScoreRequest request = ScoreRequests.OneAction("block_author", "a", "x");
        for (int i = 0; i < 50; i++) ScoreRequests.Did(request, "past", "like", ScoreRequests.NowMs - 7_200_000);

        float[] scores = await ScoresAsync(request);

        Assert.True(scores[0] < scores[1]);
    }

    [Fact]
    public async Task Counters_fade_with_the_half_life_of_the_request()
    {
        var request = new ScoreRequest { NowMs = ScoreRequests.NowMs, CounterHalfLifeHours = 10 };
        long hourMs = 3_600_000;
        request.Candidates.Add(Liked(100, 1_000, ScoreRequests.NowMs - (10 * hourMs)));
        request.Candidates.Add(Liked(50, 500, ScoreRequests.NowMs));

        float[] probabilities = await Scorer.PredictAsync(request, CancellationToken.None);

        Assert.Equal(probabilities[14], probabilities[0], 6);
    }

    [Fact]
    public async Task More_likes_per_impression_mean_a_higher_probability_and_few_impressions_stay_near_the_prior()
    {
        var request = new ScoreRequest { NowMs = ScoreRequests.NowMs };
        request.Candidates.Add(Liked(200, 1_000, ScoreRequests.NowMs));
        request.Candidates.Add(Liked(20, 1_000, ScoreRequests.NowMs));
        request.Candidates.Add(Liked(1, 1, ScoreRequests.NowMs));
        request.Candidates.Add(Liked(0, 0, ScoreRequests.NowMs));

        float[] p = await Scorer.PredictAsync(request, CancellationToken.None);

        Assert.True(p[0] > p[14]);
        Assert.InRange(p[28], p[42], p[0]);
    }

    [Fact]
    public void Every_probability_is_finite_and_between_0_and_1_whatever_the_numbers()
    {
        float[] odd = [0, 1, -1, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.Epsilon];
        long[] times = [0, -1, long.MaxValue, long.MinValue, ScoreRequests.NowMs];
        Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            ScoreRequest request = ScoreRequests.Request(seed, 5);
            request.NowMs = times[random.Next(times.Length)];
            request.CounterHalfLifeHours = odd[random.Next(odd.Length)];
            foreach (Candidate candidate in request.Candidates)
            {
                candidate.Similarity = odd[random.Next(odd.Length)];
                candidate.CreatedAtMs = times[random.Next(times.Length)];
                candidate.Counters.AsOfMs = times[random.Next(times.Length)];
                candidate.Counters.Counts[random.Next(15)] = odd[random.Next(odd.Length)];
            }

            for (int i = 0; i < request.Sequence.TimesMs.Count; i++) request.Sequence.TimesMs[i] = times[random.Next(times.Length)];
            float[] probabilities = Scorer.PredictAsync(request, CancellationToken.None).GetAwaiter().GetResult();
            return probabilities.Length == 5 * 14 && probabilities.All(p => float.IsFinite(p) && p is >= 0 and <= 1);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public async Task What_is_not_a_video_is_never_watched_to_the_end()
    {
        int videoComplete = ActionTaxonomy.Default.IndexOf("video_complete");
        var request = new ScoreRequest { NowMs = ScoreRequests.NowMs, Candidates = { new Candidate { ItemId = "text" }, new Candidate { ItemId = "video", DurationMs = 1 } } };

        float[] probabilities = await Scorer.PredictAsync(request, CancellationToken.None);

        Assert.Equal(0, probabilities[videoComplete]);
        Assert.True(probabilities[14 + videoComplete] > 0);
    }

    [Fact]
    public async Task A_cancelled_request_is_not_scored()
    {
        await Assert.ThrowsAsync<OperationCanceledException>(
            () => Scorer.PredictAsync(ScoreRequests.Request(seed: 1, 300), new CancellationToken(canceled: true)));
    }

    private static Candidate Liked(float likes, float impressions, long asOfMs)
    {
        var candidate = new Candidate { ItemId = "x", CreatedAtMs = ScoreRequests.NowMs, Counters = new Counters { AsOfMs = asOfMs, Counts = { new float[15] } } };
        candidate.Counters.Counts[0] = likes;
        candidate.Counters.Counts[14] = impressions;
        return candidate;
    }

    private static async Task<float[]> ScoresAsync(ScoreRequest request)
    {
        float[] weights = [.. ActionTaxonomy.Default.DefaultWeights];
        float[] probabilities = await Scorer.PredictAsync(request, CancellationToken.None);
        return [.. Enumerable.Range(0, request.Candidates.Count).Select(i => CompositeScore.Compute(weights, probabilities.AsSpan(i * 14, 14)))];
    }

    private static async Task<string[]> TopAsync(ScoreRequest request, int count)
    {
        float[] scores = await ScoresAsync(request);
        return [.. request.Candidates.Zip(scores).OrderByDescending(pair => pair.Second).Take(count).Select(pair => pair.First.ItemId)];
    }
}
