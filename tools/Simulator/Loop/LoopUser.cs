namespace Mesh.Simulator.Loop;

/// <summary>One user of a world in one arm, as the mesh knows them. Touched by one thread at a time.</summary>
internal sealed class LoopUser(int index, string arm, string id)
{
    public int Index => index;

    public string Arm => arm;

    public string Id => id;

    /// <summary>Where the last page ends; null = begin anew.</summary>
    public string? Cursor { get; set; }

    /// <summary>Events that the gateway has accepted.</summary>
    public long Events { get; set; }

    /// <summary>One for each request, in order.</summary>
    public List<Tally> Pages { get; } = [];

    /// <summary>All pages together.</summary>
    public Tally Total => Pages.Aggregate(Tally.None, (sum, page) => sum + page);
}
