using Mesh.Contracts;

namespace Mesh.Ranker.Transformer;

/// <summary>The candidates that one request computes for itself and for whoever asks for the same meanwhile.</summary>
internal sealed class ScoreFlight(long startedAt)
{
    private readonly TaskCompletionSource<float[]?> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Keys in the order of the rows.</summary>
    public List<ScoreKey> Keys { get; } = [];

    /// <summary>TimeProvider timestamp.</summary>
    public long StartedAt => startedAt;

    /// <summary>Probabilities of all rows; null where the computing request failed.</summary>
    public Task<float[]?> Done => _done.Task;

    public void Land(float[]? rows) => _done.TrySetResult(rows);
}

/// <summary>What the cache says to one request's candidates.</summary>
internal sealed class ScorePlan(int candidates)
{
    /// <summary>Row of each candidate that is fresh in the cache; null where it is not.</summary>
    public float[]?[] Hits { get; } = new float[candidates][];

    /// <summary>Candidates that this request computes, by index; the flight's rows are in this order.</summary>
    public List<int> Mine { get; } = [];

    /// <summary>Candidates that another request (or this one, where a candidate comes twice) is computing.</summary>
    public List<(int Index, ScoreFlight Flight, int Row)> Joined { get; } = [];

    public ScoreFlight? Flight { get; set; }

    /// <summary>Those of <see cref="Mine"/> that are refreshed before their end, with the row that is still good: it serves where computing fails.</summary>
    public List<(int Index, float[] Row)> Old { get; } = [];

    public int EarlyRefreshes => Old.Count;
}
