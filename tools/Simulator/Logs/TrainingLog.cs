using Mesh.Contracts;
using Mesh.Simulator.Synthetic;

namespace Mesh.Simulator.Logs;

/// <summary>
/// What a mesh would have logged of a world, in two parts. The first spans the world's days: people come in sessions, items appear
/// while they do. The second is a mesh that starts when the world ends: the whole catalogue is there, nobody knows anybody, and
/// requests follow each other in seconds, as when simulated users are served by a running mesh.
/// </summary>
internal static class TrainingLog
{
    private const int SessionPagesMax = 6;
    private const int LivePages = 20;
    private const int LiveAfterMs = 3_600_000; // the last sessions of the days have ended by then
    private const int LiveStartMs = 60_000;

    /// <summary>Exactly <see cref="TrainingLogOptions.Requests"/> rows; the same world and options give the same rows.</summary>
    public static IEnumerable<TrainingRow> Of(SyntheticWorld world, TrainingLogOptions options)
    {
        int live = (int)(options.Requests * options.LiveShare);
        return Days(world, options, options.Requests - live).Concat(Live(world, options, live));
    }

    private static IEnumerable<TrainingRow> Days(SyntheticWorld world, TrainingLogOptions options, int requests)
    {
        var random = new Random(world.Seed ^ 0x10dd);
        var mesh = new LoggedMesh(world, "", options, Pace.People, random);
        double[] activity = SyntheticWorld.Cumulate(world.Population.Select(user => user.Activity));
        long firstMs = world.StartMs + (world.EndMs - world.StartMs) / 10; // a page needs some items to be there
        for (int left = requests; left > 0;)
        {
            int pages = Math.Min(left, random.Next(1, SessionPagesMax + 1));
            long timeMs = firstMs + (long)(random.NextDouble() * (world.EndMs - firstMs));
            mesh.Expect(SyntheticWorld.Pick(activity, random), timeMs, pages);
            left -= pages;
        }

        return mesh.Serve();
    }

    private static IEnumerable<TrainingRow> Live(SyntheticWorld world, TrainingLogOptions options, int requests)
    {
        var random = new Random(world.Seed ^ 0x11fe);
        var mesh = new LoggedMesh(world, "-live", options, Pace.Loop, random);
        int users = world.Population.Count;
        int pagesEach = Math.Max(LivePages, (requests + users - 1) / users);
        for (int left = requests, user = 0; left > 0; left -= pagesEach, user++)
        {
            mesh.Expect(user, world.EndMs + LiveAfterMs + random.Next(LiveStartMs), Math.Min(left, pagesEach));
        }

        return mesh.Serve();
    }
}
