using Mesh.Contracts;

namespace Mesh.Ranker.Tests;

/// <summary>A candidate's score is its own: bit-identical whoever else is scored with it, wherever it stands.</summary>
public sealed class IsolationTests : IDisposable
{
    private const int Many = 1_500;

    private readonly RankerApp _app = new();

    public void Dispose() => _app.Dispose();

    [Fact]
    public async Task A_candidate_alone_scores_as_it_does_among_1500()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 1, Many);
        ScoreResponse together = await _app.ScoreAsync(request);

        foreach (int index in new[] { 0, 1, 17, 700, Many - 1 })
        {
            ScoreResponse alone = await _app.ScoreAsync(With(request, [request.Candidates[index]]));

            AssertSameBits(together.Scores[index], Assert.Single(alone.Scores));
        }
    }

    [Fact]
    public async Task Shuffling_changes_no_bit_and_answers_follow_the_order_of_the_request()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 2, Many);
        int[] order = [.. Enumerable.Range(0, Many)];
        new Random(3).Shuffle(order);

        ScoreResponse straight = await _app.ScoreAsync(request);
        ScoreResponse shuffled = await _app.ScoreAsync(With(request, order.Select(index => request.Candidates[index])));

        for (int i = 0; i < Many; i++) AssertSameBits(straight.Scores[order[i]], shuffled.Scores[i]);
    }

    [Fact]
    public async Task Duplicated_candidates_score_alike_and_move_nobody()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 4, 50);

        ScoreResponse once = await _app.ScoreAsync(request);
        ScoreResponse thrice = await _app.ScoreAsync(With(request, Enumerable.Repeat(request.Candidates, 3).SelectMany(candidates => candidates)));

        for (int i = 0; i < 150; i++) AssertSameBits(once.Scores[i % 50], thrice.Scores[i]);
    }

    [Fact]
    public async Task A_neighbour_with_broken_numbers_moves_nobody()
    {
        ScoreRequest request = ScoreRequests.Request(seed: 5, 20);
        ScoreResponse before = await _app.ScoreAsync(request);
        request.Candidates.Insert(0, new Candidate { ItemId = "broken", Similarity = float.NaN, Counters = new Counters { Counts = { float.PositiveInfinity } } });

        ScoreResponse after = await _app.ScoreAsync(request);

        for (int i = 0; i < 20; i++) AssertSameBits(before.Scores[i], after.Scores[i + 1]);
    }

    private static ScoreRequest With(ScoreRequest request, IEnumerable<Candidate> candidates)
    {
        ScoreRequest copy = request.Clone();
        copy.Candidates.Clear();
        copy.Candidates.AddRange(candidates);
        return copy;
    }

    private static void AssertSameBits(CandidateScore expected, CandidateScore actual)
    {
        Assert.Equal(expected.ItemId, actual.ItemId);
        Assert.Equal(BitConverter.SingleToInt32Bits(expected.Score), BitConverter.SingleToInt32Bits(actual.Score));
        Assert.Equal(expected.Probabilities.Select(BitConverter.SingleToInt32Bits), actual.Probabilities.Select(BitConverter.SingleToInt32Bits));
    }
}
