namespace Mesh.Gateway.Shards;

/// <summary>Whether gateway, retrieval and index-updater agree on who holds what.</summary>
internal static class Topology
{
    /// <summary>What is wrong with an app's place, with the settings that say it; null where nothing is.</summary>
    /// <param name="place">The app's place in Gateway:Retrieval.</param>
    /// <param name="apps">Apps that Gateway:Retrieval names.</param>
    /// <param name="shard">Shard that the app follows (Retrieval:Shard).</param>
    /// <param name="shards">Shards that index-updater spreads items over (IndexUpdater:Shards), as the app heard; 0 = not heard yet.</param>
    public static string? FaultOf(int place, int apps, uint shard, uint shards)
    {
        if (shards != 0 && shards != apps)
            return $"index-updater spreads items over {shards} shards (IndexUpdater:Shards), and Gateway:Retrieval names {apps}: items of shards that nobody asks are missing";
        return shard != place ? $"it follows shard {shard} (Retrieval:Shard), and its place in Gateway:Retrieval is {place}" : null;
    }
}
