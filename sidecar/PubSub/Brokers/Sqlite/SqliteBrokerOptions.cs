namespace Mesh.Sidecar.PubSub.Brokers.Sqlite;

/// <summary>How one <c>pubsub.sqlite</c> file is kept. The names in the component's metadata are in docs/components.md.</summary>
internal sealed record SqliteBrokerOptions
{
    /// <summary>Full path of the database file.</summary>
    public required string Path { get; init; }

    /// <summary>Name of the component, for messages and logs.</summary>
    public required string Component { get; init; }

    /// <summary>How long a message that every group has acknowledged stays, for groups that are new.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Messages older than this go, acknowledged or not.</summary>
    public TimeSpan AgeMax { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Largest size of the live data in bytes; beyond it publishing is refused, and nothing that is still due is deleted.</summary>
    public long BytesMax { get; init; } = 8L * 1024 * 1024 * 1024;

    /// <summary>An ephemeral group that nobody has consumed for this long is forgotten.</summary>
    public TimeSpan IdleGroupTimeToLive { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Pause between two rounds of deleting what is no longer needed.</summary>
    public TimeSpan CleanupInterval { get; init; } = TimeSpan.FromSeconds(5);
}
