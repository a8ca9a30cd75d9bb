using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Inference.Features;

/// <summary>
/// A candidate as candidates.onnx takes it: what it is, how old, and how people took it so far. Agrees with
/// training/feedmesh/features.py (golden file).
/// </summary>
public static class CandidateFeatures
{
    private const double PriorImpressions = 20; // an item is taken for average until it was shown about this often
    private const double RateMax = 0.98;
    private const double LogOddsMax = 5;

    /// <summary>Bucket of a request's surface; 0 for none.</summary>
    public static long SurfaceOf(ReadOnlySpan<char> surface) => FeatureHash.SurfaceOf(surface);

    /// <summary>Fills one row of the tensors, counted over all users: row = user * N + place.</summary>
    /// <param name="halfLifeHours">Of the counters; 0 or less = the model's.</param>
    public static void Write(Candidate candidate, long nowMs, double halfLifeHours, FeatureSettings settings, SemanticIdShape shape, CandidateTensors tensors, int row)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(tensors);
        SemanticCodes.Write(candidate.Codes, shape, tensors.Codes.Longs.Slice(row * shape.Levels, shape.Levels));
        FeatureHash.Authors(candidate.AuthorId, settings.AuthorBuckets, tensors.Authors.Longs.Slice(row * 2, 2));
        tensors.Ages.Longs[row] = TimeBuckets.Of(nowMs - candidate.CreatedAtMs);

        Span<float> dense = tensors.Dense.Floats.Slice(row * CandidateTensors.DenseCount, CandidateTensors.DenseCount);
        double hours = halfLifeHours > 0 && double.IsFinite(halfLifeHours) ? halfLifeHours : settings.CounterHalfLifeHours;
        double decay = candidate.Counters is { } counters ? DecayedCounter.Factor(counters.AsOfMs, nowMs, hours * 3_600_000) : 0;
        dense[0] = candidate.InNetwork ? 1 : 0;
        dense[1] = candidate.DurationMs > 0 ? 1 : 0;
        dense[2] = (float)(Math.Log(1 + (Math.Max(0, candidate.DurationMs) / 1000.0)) / 6);
        WriteRates(candidate.Counters?.Counts, decay, settings.PriorRates, dense);
    }

    private static void WriteRates(RepeatedField<float>? counts, double decay, IReadOnlyList<float> priors, Span<float> dense)
    {
        int actions = priors.Count;
        double impressions = Count(counts, actions, decay);
        double shown = impressions;
        for (int action = 0; action < actions; action++) shown = Math.Max(shown, Count(counts, action, decay));
        dense[3] = (float)(Math.Log(1 + impressions) / 8);
        for (int action = 0; action < actions; action++)
        {
            double prior = priors[action];
            double rate = Math.Min(RateMax, (Count(counts, action, decay) + (PriorImpressions * prior)) / (shown + PriorImpressions));
            dense[4 + action] = (float)Math.Clamp(LogOdds(rate) - LogOdds(prior), -LogOddsMax, LogOddsMax);
        }
    }

    // Counters come from other processes: what is no count is none.
    private static double Count(RepeatedField<float>? counts, int index, double decay) =>
        counts is not null && index < counts.Count && counts[index] is var count && float.IsFinite(count) && count > 0 ? count * decay : 0;

    private static double LogOdds(double rate) => Math.Log(rate / (1 - rate));
}
