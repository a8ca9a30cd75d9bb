namespace Mesh.Ranker.Scoring;

/// <summary>score = sum of weight x probability over the actions.</summary>
internal static class CompositeScore
{
    public static float Compute(ReadOnlySpan<float> weights, ReadOnlySpan<float> probabilities)
    {
        if (weights.Length != probabilities.Length) throw new ArgumentException("There must be one weight per probability.", nameof(weights));

        // A fixed order in double: the sum of one candidate never depends on how a vector unit would group the terms.
        double score = 0;
        for (int i = 0; i < weights.Length; i++) score += (double)weights[i] * probabilities[i];
        return (float)score;
    }
}
