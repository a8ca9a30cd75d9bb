using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>A sequence that waits to be encoded. It holds a lease of its model until it has run or was dropped: requests come and go meanwhile.</summary>
internal sealed record EncodeJob(LoadedModel Model, Sequence? Sequence, IReadOnlyList<HistoryItem> History, Waiters Waiters)
{
    public TaskCompletionSource<ContextState> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>
/// The candidates of one request on their way through runs. Whoever made it holds a use of the model until it is done or
/// withdrawn; a run in which it takes part holds another. Fields are the batcher's, under its lock.
/// </summary>
internal sealed class ScoreJob(LoadedModel model, ContextState context, CandidateRows rows, int actions, long enqueued)
{
    public LoadedModel Model => model;

    public CandidateRows Rows => rows;

    public float[] Output { get; } = new float[rows.Count * actions];

    public TaskCompletionSource<float[]> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Stopwatch timestamp.</summary>
    public long Enqueued => enqueued;

    /// <summary>Rows that no run has taken yet begin here.</summary>
    public int Next { get; private set; }

    /// <summary>Chunks inside runs.</summary>
    public int Running { get; set; }

    public bool AllTaken => Next == rows.Count;

    public Chunk Take(int chunkRows)
    {
        int first = Next, count = Math.Min(chunkRows, rows.Count - first);
        Next += count;
        Running++;
        return new Chunk(context, rows, first, count, Output.AsMemory(first * actions, count * actions));
    }
}
