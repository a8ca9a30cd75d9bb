namespace Mesh.Ranker.Transformer;

/// <summary>What a graph gives must be probabilities. A sigmoid that has run to its end is pulled back inside, so that log-odds exist.</summary>
internal static class OutputCheck
{
    private const float Least = 1e-7f;
    private const float Most = 1 - 1e-6f;

    /// <exception cref="InvalidDataException">A value is not a number, or outside 0..1.</exception>
    public static void Apply(Span<float> probabilities)
    {
        for (int i = 0; i < probabilities.Length; i++)
        {
            if (!(probabilities[i] is >= 0 and <= 1)) throw new InvalidDataException($"the model gave {probabilities[i]}, which is no probability");
            probabilities[i] = Math.Clamp(probabilities[i], Least, Most);
        }
    }
}
