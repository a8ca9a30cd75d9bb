using System.Globalization;

namespace Mesh.Snapshots;

/// <summary>What the files of a snapshot are called under the snapshots binding.</summary>
public static class SnapshotNames
{
    /// <summary><see cref="Contracts.SnapshotFile.Kind"/> of the file with codebooks.</summary>
    public const string Codebooks = "codebooks";

    /// <summary>Kind of a file with consecutive rows.</summary>
    public const string Rows = "rows";

    /// <summary>Kind of the files that, joined in order, are the graph of the user tower (ONNX).</summary>
    public const string UserTower = "user-tower";

    /// <summary>Kind of the file with the manifest of the model package that tower, codes and vectors are of.</summary>
    public const string Model = "model";

    /// <summary>Kind of a file that only index-updater reads.</summary>
    public const string State = "state";

    /// <summary>The small file that names the newest version: written last, it is the publication.</summary>
    public static string Latest(uint shard) => $"snapshots/{Text(shard)}/latest";

    public static string Manifest(uint shard, string version) => $"snapshots/{Text(shard)}/{version}/manifest.json";

    public static string CodebooksFile(uint shard, string version) => $"snapshots/{Text(shard)}/{version}/codebooks.safetensors";

    /// <summary>The n-th row file, from 1.</summary>
    public static string RowsFile(uint shard, string version, int part) => $"snapshots/{Text(shard)}/{version}/index-{Part(part)}.safetensors";

    /// <summary>The n-th piece of the user tower's graph, from 1.</summary>
    public static string TowerFile(uint shard, string version, int part) => $"snapshots/{Text(shard)}/{version}/user-{Part(part)}.onnx";

    public static string ModelFile(uint shard, string version) => $"snapshots/{Text(shard)}/{version}/model.json";

    /// <summary>The n-th file of the writer's own state, from 1.</summary>
    public static string StateFile(uint shard, string version, int part) => $"snapshots/{Text(shard)}/{version}/state-{Part(part)}.pb";

    private static string Text(uint shard) => shard.ToString(CultureInfo.InvariantCulture);

    private static string Part(int part) => part.ToString("00000", CultureInfo.InvariantCulture);
}
