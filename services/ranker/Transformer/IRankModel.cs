using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>
/// One version of the two graphs, loaded. Calls may run on several threads at once; each takes the calling thread to its end.
/// Implemented over ONNX Runtime, and by the tests' deterministic model.
/// </summary>
internal interface IRankModel : IDisposable
{
    /// <summary>The package's version: a pure function of its files.</summary>
    string Version { get; }

    /// <summary>Runs the context graph over one user's sequence.</summary>
    ContextState Encode(Sequence? sequence, IReadOnlyList<HistoryItem> history);

    /// <summary>
    /// Runs the candidates graph once over [chunks, rows]: each chunk's context beside its rows, short chunks padded. Writes
    /// 14 probabilities per row to the chunk's output.
    /// </summary>
    void Run(ReadOnlySpan<Chunk> chunks, int rows);
}

/// <summary>What the context graph made of one sequence: opaque, immutable, shared by every request that names it.</summary>
internal abstract class ContextState
{
    /// <summary>Bytes that it holds, for the cache's bound.</summary>
    public abstract long Bytes { get; }
}

/// <summary>Some candidates of one request, by index. Features are made where they are run: straight into the batch, on its thread.</summary>
internal sealed record CandidateRows(IReadOnlyList<Candidate> Candidates, IReadOnlyList<int> Indexes, CandidateMoment Moment)
{
    public int Count => Indexes.Count;

    public Candidate this[int row] => Candidates[Indexes[row]];
}

/// <summary>What a request says to all of its candidates.</summary>
internal readonly record struct CandidateMoment(long NowMs, double CounterHalfLifeHours, string Surface);

/// <summary>Some rows of one request, to be scored against its context. Output has 14 floats for each of Count rows.</summary>
internal readonly record struct Chunk(ContextState Context, CandidateRows Rows, int First, int Count, Memory<float> Output);
