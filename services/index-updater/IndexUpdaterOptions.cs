using System.ComponentModel.DataAnnotations;
using Mesh.IndexUpdater.Shards;

namespace Mesh.IndexUpdater;

/// <summary>Bound from the <c>IndexUpdater</c> section and checked at start-up.</summary>
public sealed class IndexUpdaterOptions
{
    /// <summary>
    /// Shards that items are spread over by the hash of their id. Every replica must have the same number, Gateway:Retrieval must name as
    /// many apps, and a log that was written with another number ends the process (docs/shards.md). Default 1.
    /// </summary>
    [Range(1, ShardNumberCheck.ShardsMax)]
    public int Shards { get; init; } = 1;

    /// <summary>Time between two snapshots, in seconds. One is skipped when nothing has changed.</summary>
    [Range(1, 86_400)]
    public int SnapshotPeriodSeconds { get; init; } = 60;

    /// <summary>Time from the activation of a shard to its first snapshot, in seconds.</summary>
    [Range(1, 86_400)]
    public int FirstSnapshotAfterSeconds { get; init; } = 5;

    /// <summary>How long engagements are gathered before they are counted together, in milliseconds.</summary>
    [Range(0, 10_000)]
    public int CoalesceMs { get; init; } = 250;

    /// <summary>Half-life of the engagement counters, in hours.</summary>
    [Range(0.01, 24 * 365)]
    public double CounterHalfLifeHours { get; init; } = 72;

    /// <summary>Levels of the semantic ID.</summary>
    [Range(1, 8)]
    public int CodeLevels { get; init; } = 3;

    /// <summary>Codes at each level.</summary>
    [Range(2, 65_536)]
    public int CodesPerLevel { get; init; } = 256;

    /// <summary>Most rows the codebooks are fitted on: a seeded sample beyond that. The default is 64 rows for each of 256 codes.</summary>
    [Range(1, 1_000_000)]
    public int FitRowsMax { get; init; } = 16_384;

    /// <summary>
    /// Fits the codebooks again at the snapshot that finds the catalogue this many times as large as when they were fitted: books
    /// fitted on the first handful of items say nothing about thousands. 0 = only on request.
    /// </summary>
    [Range(0, 1_000)]
    public double RefitGrowth { get; init; } = 8;

    /// <summary>Most unknown items whose counts and eligibility wait for them; the one touched longest ago goes first.</summary>
    [Range(0, 10_000_000)]
    public int OrphansMax { get; init; } = 100_000;

    /// <summary>How long a deleted item is remembered, so that a late older change does not bring it back, in days.</summary>
    [Range(1, 365)]
    public int TombstoneDays { get; init; } = 7;

    /// <summary>Time one call of a shard's actor may take, in milliseconds.</summary>
    [Range(100, 600_000)]
    public int ActorTimeoutMs { get; init; } = 20_000;

    /// <summary>Time a request waits for the snapshot that it asked for, in milliseconds.</summary>
    [Range(100, 600_000)]
    public int SnapshotTimeoutMs { get; init; } = 120_000;

    internal double HalfLifeMs => CounterHalfLifeHours * 3_600_000;
}
