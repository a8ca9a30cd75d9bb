using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// The last step before a version may serve: it runs as it will run, smallest and largest batch. That warms the graphs (a first
/// run plans its memory), refuses a package whose output is no probability, and shows whether a score depends on its batch.
/// </summary>
internal static class ModelTrial
{
    private const int Rounds = 3;
    private const long AnyTimeMs = 1_700_000_000_000;

    /// <returns>Whether every batch gave a candidate the same bits. A GPU, or several threads inside a run, need not.</returns>
    /// <exception cref="ModelRefusedException">The model fails or gives what is no probability.</exception>
    public static bool Run(IRankModel model, TransformerOptions options)
    {
        try
        {
            Candidate[] candidates = [.. Enumerable.Range(0, options.ChunkRows).Select(Trial)];
            var moment = new CandidateMoment(AnyTimeMs, CounterHalfLifeHours: 0, Surface: "");
            var rows = new CandidateRows(candidates, [.. Enumerable.Range(0, candidates.Length)], moment);
            float[]? expected = null;
            bool same = true;
            for (int round = 0; round < Rounds; round++)
            {
                ContextState context = model.Encode(new Sequence(), []);
                foreach (int chunks in new[] { 1, options.ChunksMax })
                {
                    foreach (float[] output in Run(model, context, rows, chunks)) same &= output.AsSpan().SequenceEqual(expected ??= output);
                }
            }

            return same;
        }
        catch (Exception exception)
        {
            throw new ModelRefusedException($"Model {model.Version} failed its trial run: {exception.Message}", inner: exception);
        }
    }

    private static float[][] Run(IRankModel model, ContextState context, CandidateRows rows, int chunks)
    {
        float[][] outputs = [.. Enumerable.Range(0, chunks).Select(_ => new float[rows.Count * ActionTaxonomy.Default.Count])];
        model.Run([.. outputs.Select(output => new Chunk(context, rows, 0, rows.Count, output))], rows.Count);
        foreach (float[] output in outputs) OutputCheck.Apply(output);
        return outputs;
    }

    private static Candidate Trial(int index) =>
        new() { ItemId = $"trial-{index}", AuthorId = $"trial-{index}", CreatedAtMs = AnyTimeMs - (index * 60_000L) };
}
