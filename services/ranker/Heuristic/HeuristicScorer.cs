using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Ranker.Scoring;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Heuristic;

/// <summary>
/// Scores without a trained model: the control arm, and what is left when a model is not. Context first, once; then each
/// candidate from the context and its own fields, in a loop that carries nothing from one to the next.
/// </summary>
internal sealed class HeuristicScorer : IScorer
{
    public const string ArmName = "heuristic";

    private static readonly int VideoComplete = ActionTaxonomy.Default.IndexOf("video_complete");

    private readonly HeuristicOptions _options;
    private readonly ItemRates _rates;
    private readonly TimeProvider _clock;

    public HeuristicScorer(IOptions<HeuristicOptions> options, TimeProvider clock)
    {
        _options = options.Value;
        _rates = new ItemRates(_options);
        _clock = clock;
    }

    public string Arm => ArmName;

    public string ModelVersion => "heuristic-1";

    public Task<float[]> PredictAsync(ScoreRequest request, CancellationToken cancellation)
    {
        int actions = ActionTaxonomy.Default.Count;
        long nowMs = request.NowMs > 0 ? request.NowMs : _clock.GetUtcNow().ToUnixTimeMilliseconds();
        double halfLifeHours = request.CounterHalfLifeHours is >= 0.01 and <= 1e5 ? request.CounterHalfLifeHours : _options.CounterHalfLifeHours;
        var context = new Context(
            UserAffinity.Of(request.Sequence, request.History, nowMs, _options),
            nowMs,
            TimeSpan.FromHours(halfLifeHours),
            TimeSpan.FromHours(_options.RecencyHalfLifeHours));

        var probabilities = new float[request.Candidates.Count * actions];
        for (int i = 0; i < request.Candidates.Count; i++)
        {
            if (i % 256 == 0) cancellation.ThrowIfCancellationRequested();
            Predict(context, request.Candidates[i], probabilities.AsSpan(i * actions, actions));
        }

        return Task.FromResult(probabilities);
    }

    private void Predict(Context context, Candidate candidate, Span<float> probabilities)
    {
        Affinity author = context.User.ToAuthor(candidate.AuthorId), tags = context.User.ToTags(candidate.Tags);
        double similarity = float.IsFinite(candidate.Similarity) ? Math.Clamp(candidate.Similarity, -1, 1) : 0;
        double recency = DecayedCounter.Factor(candidate.CreatedAtMs, context.NowMs, context.RecencyHalfLife.TotalMilliseconds);
        double positive = Sum(_options.Positive), negative = Sum(_options.Negative);

        Span<double> rates = stackalloc double[probabilities.Length];
        _rates.Compute(candidate.Counters, context.NowMs, context.CounterHalfLife, rates);
        for (int action = 0; action < probabilities.Length; action++)
        {
            double rate = rates[action];
            double logit = Math.Log(rate / (1 - rate)) + (ActionTaxonomy.Default.IsNegative(action) ? negative : positive);
            probabilities[action] = (float)(1 / (1 + Math.Exp(-logit)));
        }

        // What is not a video cannot be watched to the end.
        if (candidate.DurationMs <= 0) probabilities[VideoComplete] = 0;

        double Sum(FeatureCoefficients w) =>
            (w.AuthorLiked * author.Liked) + (w.AuthorDisliked * author.Disliked) + (w.TagLiked * tags.Liked) + (w.TagDisliked * tags.Disliked)
            + (w.Similarity * similarity) + (w.Recency * recency) + (candidate.InNetwork ? w.InNetwork : 0);
    }

    private sealed record Context(UserAffinity User, long NowMs, TimeSpan CounterHalfLife, TimeSpan RecencyHalfLife);
}
