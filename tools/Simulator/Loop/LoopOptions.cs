namespace Mesh.Simulator.Loop;

/// <summary>One closed loop: who is served, how often, by which arms.</summary>
internal sealed record LoopOptions
{
    /// <summary>Arms of the flag "ranker" to compare; each user lives once in each. The first is measured against the others.</summary>
    public required IReadOnlyList<string> Arms { get; init; }

    public required IReadOnlyList<int> Seeds { get; init; }

    /// <summary>Users of a world in each arm.</summary>
    public int Users { get; init; } = 200;

    public int RequestsPerUser { get; init; } = 30;

    /// <summary>Items on a page.</summary>
    public int PageItems { get; init; } = 10;

    public int Items { get; init; } = 2_000;

    public int Authors { get; init; } = 100;

    /// <summary>Users served at the same time.</summary>
    public int Concurrency { get; init; } = 4;

    /// <summary>Part of every id after the seed, so that a mesh can serve several runs.</summary>
    public string Run { get; init; } = "";

    /// <summary>How long the mesh may take until it knows what it was told.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Resamples of the users behind each confidence interval.</summary>
    public int Resamples { get; init; } = 2_000;
}
