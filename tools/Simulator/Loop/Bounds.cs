using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Loop;

/// <summary>
/// What could be had of a world, for scale: the same users shown the items they want most (oracle), or any (random), no item twice.
/// Computed here, without the mesh.
/// </summary>
internal static class Bounds
{
    public const string Oracle = "oracle";
    public const string Random = "random";

    /// <summary>Pages of all users, request by request.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<Tally>> Of(SyntheticWorld world, Viewer viewer, LoopOptions options) =>
        new Dictionary<string, IReadOnlyList<Tally>>(StringComparer.Ordinal)
        {
            [Oracle] = Serve(world, viewer, options, user => [.. Enumerable.Range(0, options.Items).OrderByDescending(item => world.Affinity(user, item))]),
            [Random] = Serve(world, viewer, options, user =>
            {
                int[] items = [.. Enumerable.Range(0, options.Items)];
                new Random(world.Seed ^ user).Shuffle(items);
                return items;
            }),
        };

    private static Tally[] Serve(SyntheticWorld world, Viewer viewer, LoopOptions options, Func<int, int[]> rank)
    {
        var rounds = new Tally[options.RequestsPerUser];
        Array.Fill(rounds, Tally.None);
        for (int user = 0; user < options.Users; user++)
        {
            int[] ranked = rank(user);
            for (int round = 0; round < rounds.Length; round++)
            {
                int[] page = [.. ranked.Skip(round * options.PageItems).Take(options.PageItems)];
                rounds[round] += Tally.Of(world, user, page, viewer.Look(user, round, page));
            }
        }

        return rounds;
    }
}
