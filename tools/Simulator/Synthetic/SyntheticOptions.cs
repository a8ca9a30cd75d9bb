namespace Mesh.Simulator.Synthetic;

/// <summary>Size and seed of a synthetic world. The same options give the same world, byte for byte.</summary>
public sealed record SyntheticOptions
{
    /// <summary>Seed of everything that is drawn. Default 1.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Users, 1 to 1,000,000. Default 200.</summary>
    public int Users { get; init; } = 200;

    /// <summary>Authors, 1 to 100,000. Default 60.</summary>
    public int Authors { get; init; } = 60;

    /// <summary>Items, 1 to 10,000,000. Default 2,000.</summary>
    public int Items { get; init; } = 2_000;

    /// <summary>Events, 0 to 100,000,000. Default 20,000.</summary>
    public int Events { get; init; } = 20_000;

    /// <summary>Days that items and events are spread over. Default 5.</summary>
    public int Days { get; init; } = 5;

    /// <summary>What every id of a user, item and author begins with, so that worlds can share a folder or a mesh. Default none.</summary>
    public string IdPrefix { get; init; } = "";

    /// <summary>When the world ends: nothing in it is later.</summary>
    public required DateTimeOffset End { get; init; }
}
