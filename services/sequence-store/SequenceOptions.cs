using System.ComponentModel.DataAnnotations;

namespace Mesh.SequenceStore;

/// <summary>Limits of the sequence store. Bound from the <c>Sequence</c> section and checked at start-up.</summary>
public sealed class SequenceOptions
{
    /// <summary>Events kept per user; the oldest chunks beyond are folded away. Default 8,192.</summary>
    [Range(512, 65_536)]
    public int EventsMax { get; init; } = 8_192;

    /// <summary>Days after which a chunk is folded away, judged when its user next appends; 0 = never. Default 0.</summary>
    [Range(0, 36_500)]
    public int RetentionDays { get; init; }

    /// <summary>Items remembered per user as engaged with. Default 16,384.</summary>
    [Range(1, 65_536)]
    public int EngagedMax { get; init; } = 16_384;

    /// <summary>Items remembered per user as served. Default 2,048.</summary>
    [Range(1, 65_536)]
    public int ServedMax { get; init; } = 2_048;

    /// <summary>Pages of 256 request log entries kept per user. Default 40.</summary>
    [Range(1, 1_000)]
    public int RequestPagesMax { get; init; } = 40;

    /// <summary>Training exports that may run at a time; past it 503. Default 2.</summary>
    [Range(1, 100)]
    public int ExportsMax { get; init; } = 2;

    /// <summary>Users that one delivery of events is written to at a time. Default 16.</summary>
    [Range(1, 256)]
    public int AppendParallelism { get; init; } = 16;

    /// <summary>Idle time after which a user's actor is deactivated, in seconds. It holds no state; this frees its slot. Default 60.</summary>
    [Range(1, 86_400)]
    public int ActorIdleSeconds { get; init; } = 60;
}
