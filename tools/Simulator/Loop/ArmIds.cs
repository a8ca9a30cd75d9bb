using System.Globalization;
using Mesh.Simulator.Import;

namespace Mesh.Simulator.Loop;

/// <summary>
/// Finds an id for each user in each arm. The mesh alone decides by hash of the id who is in which arm and says so with each feed that
/// is asked to explain itself, so ids are tried until each arm has one. It is done before the first world is imported: a probe of a full
/// index would count as an impression.
/// </summary>
internal static class ArmIds
{
    private const int TriesMax = 300;

    /// <exception cref="DataException">An arm gets no ids.</exception>
    public static async Task<IReadOnlyList<LoopUser>> FindAsync(MeshClient mesh, LoopOptions options, Func<int, string> idOf, Action found, CancellationToken cancellation)
    {
        var users = new LoopUser[options.Users][];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancellation };
        await Parallel.ForEachAsync(Enumerable.Range(0, options.Users), parallel, async (user, cancelled) =>
        {
            users[user] = await FindAsync(mesh, options.Arms, user, idOf(user), cancelled);
            found();
        });
        return [.. users.SelectMany(arms => arms)];
    }

    private static async Task<LoopUser[]> FindAsync(MeshClient mesh, IReadOnlyList<string> arms, int user, string id, CancellationToken cancellation)
    {
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < TriesMax && found.Count < arms.Count; i++)
        {
            string candidate = string.Create(CultureInfo.InvariantCulture, $"{id}-{i}");
            string arm = await mesh.ArmOfAsync(candidate, cancellation);
            seen.Add(arm);
            if (arms.Contains(arm)) found.TryAdd(arm, candidate);
        }

        return found.Count == arms.Count
            ? [.. arms.Select(arm => new LoopUser(user, arm, found[arm]))]
            : throw new DataException(
                $"None of {TriesMax} ids was in arm {arms.First(arm => !found.ContainsKey(arm))}; the mesh has users in {string.Join(", ", seen.Order(StringComparer.Ordinal))}. "
                + "Give each arm a share: Gateway__Flags__0__Name=ranker, Gateway__Flags__0__Arms__0__Name=heuristic, Gateway__Flags__0__Arms__0__Percent=50, ...");
    }
}
