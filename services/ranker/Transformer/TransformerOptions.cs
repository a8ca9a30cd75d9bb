using System.ComponentModel.DataAnnotations;
using Mesh.Inference;

namespace Mesh.Ranker.Transformer;

/// <summary>Caches, batches and deadlines of the transformer. Bound from <c>Ranker:Transformer</c>, checked at start.</summary>
public sealed class TransformerOptions
{
    /// <summary>
    /// Versions kept loaded; past it the least recently used goes, never the live one. With 1 the version that requests named last
    /// stands beside the live one until a change makes one live. Default 2.
    /// </summary>
    [Range(1, 8)]
    public int ModelsMax { get; init; } = 2;

    /// <summary>
    /// Time between two searches under Models:Root for a version that a request names, in seconds; doubled each time its package
    /// is refused, up to an hour. Default 10.
    /// </summary>
    [Range(1, 3_600)]
    public int LookupIntervalSeconds { get; init; } = 10;

    /// <summary>Encoded sequences kept. Default 4,096.</summary>
    [Range(1, 1_000_000)]
    public int ContextsMax { get; init; } = 4_096;

    /// <summary>Bytes of encoded sequences kept, estimated, in MiB. Default 512.</summary>
    [Range(1, 65_536)]
    public int ContextMebibytesMax { get; init; } = 512;

    /// <summary>Age up to which a score is served again, in seconds; 0 = off. Default 300.</summary>
    [Range(0, 3_600)]
    public int ScoreCacheSeconds { get; init; } = 300;

    /// <summary>Bytes of scores kept, estimated, in MiB. Default 64 (about 250,000 scores).</summary>
    [Range(1, 65_536)]
    public int ScoreCacheMebibytesMax { get; init; } = 64;

    /// <summary>XFetch's beta: how much earlier than its end a score is refreshed, in units of the time it took to make. Default 1.</summary>
    [Range(0.0, 1e6)]
    public double EarlyRefreshBeta { get; init; } = 1;

    /// <summary>Candidates of one chunk; short ones are padded, so that every run has the same rows. Default 64.</summary>
    [Range(ModelPackage.RowsMin, 4_096)]
    public int ChunkRows { get; init; } = 64;

    /// <summary>Most chunks of one run. Default 8; a GPU wants more.</summary>
    [Range(1, 256)]
    public int ChunksMax { get; init; } = 8;

    /// <summary>Longest wait for a request that is known to come, so that its candidates join a run, in ms. Default 1.</summary>
    [Range(0.0, 50.0)]
    public double BatchWaitMs { get; init; } = 1;

    /// <summary>Candidates that may wait; a request past it is answered by the heuristic at once. Default 20,000.</summary>
    [Range(1, 1_000_000)]
    public int QueuedCandidatesMax { get; init; } = 20_000;

    /// <summary>Sequences that may wait to be encoded; those that nobody waits for any more make room. Default 256.</summary>
    [Range(1, 100_000)]
    public int QueuedEncodingsMax { get; init; } = 256;

    /// <summary>Threads that run the graphs. 0 = one per core. Default 0.</summary>
    [Range(0, 256)]
    public int Workers { get; init; }

    /// <summary>Time the transformer may take where the caller sends no budget, in milliseconds. Default 500.</summary>
    [Range(1, 60_000)]
    public int TimeoutMs { get; init; } = 500;

    /// <summary>Part of the caller's budget kept back for the heuristic and the answer, in milliseconds. Default 40.</summary>
    [Range(0, 10_000)]
    public int ReserveMs { get; init; } = 40;

    /// <summary>Failures in a row that open the breaker. Default 5.</summary>
    [Range(1, 1_000)]
    public int BreakerFailures { get; init; } = 5;

    /// <summary>Time until an open breaker lets one request try, in seconds. Default 10.</summary>
    [Range(1, 3_600)]
    public int BreakerSeconds { get; init; } = 10;
}
