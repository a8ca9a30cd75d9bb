namespace Mesh.Simulator.Synthetic;

/// <summary>How far down a page somebody looks: after each item they go on with chance 0.97, so that lower places get fewer looks.</summary>
internal static class Attention
{
    public const double GoOn = 0.97;

    /// <summary>How many items of a page are looked at, from the top; at least one of a page that is not empty.</summary>
    public static int Depth(int items, Random random)
    {
        int depth = Math.Min(1, items);
        while (depth < items && random.NextDouble() < GoOn) depth++;
        return depth;
    }
}
