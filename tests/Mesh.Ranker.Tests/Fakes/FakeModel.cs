using System.Collections.Concurrent;
using Mesh.Contracts;
using Mesh.Numerics;
using Mesh.Ranker.Transformer;

namespace Mesh.Ranker.Tests.Fakes;

/// <summary>
/// A model whose probabilities are hashes of version, sequence and candidate: any mix-up of rows, contexts or versions shows.
/// Tests hook into its runs to hold them, break them or look at them.
/// </summary>
internal sealed class FakeModel(string version) : IRankModel
{
    private int _encodings, _runs, _disposed;

    public string Version => version;

    /// <summary>Called at the start of every encoding and run, on the thread that runs it.</summary>
    public Action Encoding { get; set; } = () => { };

    public Action<IReadOnlyList<(int First, int Count)>> Running { get; set; } = _ => { };

    /// <summary>What comes out in place of probability 0 of the item, by its id.</summary>
    public Func<string, float>? Output { get; set; }

    public int Encodings => Volatile.Read(ref _encodings);

    public int Runs => Volatile.Read(ref _runs);

    public bool IsDisposed => Volatile.Read(ref _disposed) > 0;

    public ConcurrentQueue<int> RowsOfRuns { get; } = new();

    public ContextState Encode(Sequence? sequence, IReadOnlyList<HistoryItem> history)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        Interlocked.Increment(ref _encodings);
        Encoding();
        ulong hash = StableHash.Compute(version);
        foreach (string item in sequence?.ItemIds ?? []) hash = StableHash.Mix(hash ^ StableHash.Compute(item));
        foreach (HistoryItem item in history) hash = StableHash.Mix(hash ^ StableHash.Compute(item.AuthorId));
        return new State(hash);
    }

    public void Run(ReadOnlySpan<Chunk> chunks, int rows)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        Interlocked.Increment(ref _runs);
        Running([.. chunks.ToArray().Select(chunk => (chunk.First, chunk.Count))]);
        int total = 0;
        foreach (Chunk chunk in chunks)
        {
            Assert.InRange(chunk.Count, 1, rows);
            total += chunk.Count;
            for (int row = 0; row < chunk.Count; row++)
            {
                Candidate candidate = chunk.Rows[chunk.First + row];
                ulong hash = ((State)chunk.Context).Hash
                    ^ StableHash.Compute($"{candidate.ItemId} {candidate.AuthorId} {candidate.DurationMs} {chunk.Rows.Moment.Surface}");
                for (int action = 0; action < 14; action++)
                {
                    hash = StableHash.Mix(hash);
                    chunk.Output.Span[(row * 14) + action] = ((hash >> 41) + 0.5f) / (1 << 23);
                }

                if (Output is { } output) chunk.Output.Span[row * 14] = output(candidate.ItemId);
            }
        }

        RowsOfRuns.Enqueue(total);
    }

    public void Dispose() => Interlocked.Increment(ref _disposed);

    private sealed class State(ulong hash) : ContextState
    {
        public ulong Hash => hash;

        public override long Bytes => 1_000;
    }
}
