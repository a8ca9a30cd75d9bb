using System.Collections.Concurrent;
using Mesh.Contracts;
using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Deltas;

/// <summary>
/// One compaction beside the writer: a copy of the live rows is made on another thread while the writer applies deltas to the index and
/// notes them here. The copy takes them too, until few are left; those the writer applies, and swaps. What a copied row has met of the deltas
/// already does not matter, as its versions say so.
/// </summary>
/// <param name="from">The index in use. Written by the writer all along.</param>
/// <param name="deltasMax">Noted at most.</param>
internal sealed class Compaction(LiveIndex from, int deltasMax)
{
    // Few enough for the writer: about a millisecond.
    private const int LeftForWriter = 256;

    private readonly ulong _sequence = from.Sequence; // the writer makes the Compaction, so nothing is between
    private readonly ConcurrentQueue<IndexDelta> _noted = new();
    private LiveIndex? _copy; // the other thread's, and the writer's from TryFinish on
    private int _count;       // written by the writer

    public LiveIndex From => from;

    public Task Task { get; private set; } = Task.CompletedTask;

    private bool IsOutrun => Volatile.Read(ref _count) > deltasMax;

    /// <summary>Writer only.</summary>
    /// <param name="done">Called at the end: tells the writer to finish.</param>
    public void Start(int threads, Func<ValueTask> done, CancellationToken cancellation) => Task = Task.Run(async () =>
    {
        _copy = from.CopyAt(_sequence, threads);
        CatchUp(_copy, cancellation);
        await done();
    }, cancellation);

    // In rounds, each of what came during the one before: they get shorter unless deltas come as fast as they can be applied. Then there is
    // no catching up beside the writer, and the rest is the writer's, which waits for it no longer than a round.
    private void CatchUp(LiveIndex copy, CancellationToken cancellation)
    {
        for (int before = int.MaxValue, round = _noted.Count; round > LeftForWriter && round < before; before = round, round = _noted.Count)
        {
            for (int i = 0; i < round && !IsOutrun && _noted.TryDequeue(out IndexDelta? delta); i++)
            {
                cancellation.ThrowIfCancellationRequested();
                copy.Apply(delta, out _);
            }
        }
    }

    /// <summary>Writer only. Notes a delta that was applied to the index.</summary>
    public void Note(IndexDelta delta)
    {
        if (IsOutrun) return;
        Volatile.Write(ref _count, _count + 1);
        if (IsOutrun) _noted.Clear(); // what is missing makes the rest useless
        else _noted.Enqueue(delta);
    }

    /// <summary>Writer only, after it was told to. The copy, equal to the index but for its dead slots; null where more deltas came than may.</summary>
    public LiveIndex? TryFinish()
    {
        if (IsOutrun) return null;
        while (_noted.TryDequeue(out IndexDelta? delta)) _copy!.Apply(delta, out _);
        from.FinishCopy(_copy!);
        return _copy;
    }
}
