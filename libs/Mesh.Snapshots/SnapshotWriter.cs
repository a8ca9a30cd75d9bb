using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Snapshots;

/// <summary>What a snapshot is made of.</summary>
public sealed class SnapshotContent
{
    /// <summary>Version, shard, sequence, times, model and half-life; the writer fills dimensions, levels, items and files.</summary>
    public required SnapshotManifest Manifest { get; init; }

    public required int Dimensions { get; init; }

    /// <summary>Null before they exist: then no row may have codes.</summary>
    public ResidualCodebooks? Codebooks { get; init; }

    /// <summary>Free text kept with the codebooks, such as the seed of the projection.</summary>
    public IReadOnlyDictionary<string, string> CodebooksMetadata { get; init; } = new Dictionary<string, string>();

    /// <summary>Null where the model has none: query vectors are then made of the vectors of the history.</summary>
    public SnapshotTower? Tower { get; init; }

    /// <summary>Every row, enumerated once, in the order in which it is to lie.</summary>
    public required IEnumerable<ItemRow> Rows { get; init; }

    /// <summary>The writer's own state, in files of at most <see cref="SnapshotWriter.FileBytesMax"/>; other readers skip them.</summary>
    public IEnumerable<byte[]> State { get; init; } = [];
}

/// <summary>What turns a user's history into query vectors that the rows of the same snapshot are compared with.</summary>
/// <param name="Graph">user.onnx of the model package.</param>
/// <param name="Manifest">manifest.json of the model package: how features are made, and the shapes.</param>
public sealed record SnapshotTower(ReadOnlyMemory<byte> Graph, ReadOnlyMemory<byte> Manifest);

/// <summary>
/// Writes a snapshot: data files, then the manifest with their hashes, then <c>latest</c>. A crash before the last step
/// leaves files that nobody names; readers go on with the version before. Versions older than the newest few are deleted.
/// </summary>
public sealed class SnapshotWriter(ISnapshotBlobs blobs)
{
    /// <summary>
    /// Most bytes of one file: 1.5 MiB. A sidecar takes 4 MB per call by default, and content travels as base64, which
    /// makes 1.5 MiB into 2.1 MB. One row that is larger than this alone gets a file of its own.
    /// </summary>
    public const int FileBytesMax = 1536 * 1024;

    /// <summary>Versions that are kept, the newest included.</summary>
    public const int VersionsKept = 3;

    private const int HeaderBytesReserved = 8 * 1024;

    /// <summary>Writes all files and publishes the version. Returns the complete manifest.</summary>
    /// <exception cref="ArgumentException">A row does not fit the snapshot.</exception>
    public async Task<SnapshotManifest> WriteAsync(SnapshotContent content, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(content);
        SnapshotManifest manifest = content.Manifest.Clone();
        (uint shard, string version) = (manifest.Shard, manifest.Version);
        manifest.Dimensions = (uint)content.Dimensions;
        manifest.CodeLevels = (uint)(content.Codebooks?.Levels ?? 0);
        manifest.CodesPerLevel = (uint)(content.Codebooks?.CodesPerLevel ?? 0);
        manifest.Files.Clear();

        if (content.Codebooks is { } codebooks)
        {
            await PutAsync(manifest, SnapshotNames.CodebooksFile(shard, version), SnapshotNames.Codebooks, CodebooksFile.Write(codebooks, content.CodebooksMetadata), 0, 0, cancellation);
        }

        if (content.Tower is { } tower) await PutTowerAsync(manifest, tower, cancellation);
        manifest.Items = await WriteRowsAsync(manifest, content, cancellation);
        int part = 0;
        foreach (byte[] state in content.State)
        {
            await PutAsync(manifest, SnapshotNames.StateFile(shard, version, ++part), SnapshotNames.State, state, 0, 0, cancellation);
        }

        byte[] json = Encoding.UTF8.GetBytes(JsonFormatter.Default.Format(manifest));
        await blobs.PutAsync(SnapshotNames.Manifest(shard, version), json, cancellation);
        await PublishAsync(shard, version, cancellation);
        return manifest;
    }

    /// <summary>
    /// Deletes the files of a version that was begun and came to nothing. Its manifest may not exist, so the names are
    /// tried in order until one is missing. <c>latest</c> forgets it first: a dead version there would take the place of one
    /// that is kept, and a few in a row would have the versions in use deleted.
    /// </summary>
    public async Task DiscardAsync(uint shard, string version, CancellationToken cancellation)
    {
        IReadOnlyList<string> versions = await LatestFile.ReadAsync(blobs, shard, cancellation);
        if (versions.Contains(version)) await blobs.PutAsync(SnapshotNames.Latest(shard), LatestFile.Format(versions.Where(other => other != version)), cancellation);
        await DeleteFilesAsync(shard, version, cancellation);
    }

    private async Task DeleteFilesAsync(uint shard, string version, CancellationToken cancellation)
    {
        await blobs.DeleteAsync(SnapshotNames.Manifest(shard, version), cancellation);
        await blobs.DeleteAsync(SnapshotNames.CodebooksFile(shard, version), cancellation);
        await blobs.DeleteAsync(SnapshotNames.ModelFile(shard, version), cancellation);
        await DeletePartsAsync(part => SnapshotNames.TowerFile(shard, version, part), cancellation);
        await DeletePartsAsync(part => SnapshotNames.RowsFile(shard, version, part), cancellation);
        await DeletePartsAsync(part => SnapshotNames.StateFile(shard, version, part), cancellation);
    }

    private async Task PutTowerAsync(SnapshotManifest manifest, SnapshotTower tower, CancellationToken cancellation)
    {
        await PutAsync(manifest, SnapshotNames.ModelFile(manifest.Shard, manifest.Version), SnapshotNames.Model, tower.Manifest, 0, 0, cancellation);
        for (int part = 0; part * FileBytesMax < tower.Graph.Length; part++)
        {
            ReadOnlyMemory<byte> piece = tower.Graph[(part * FileBytesMax)..Math.Min((part + 1) * FileBytesMax, tower.Graph.Length)];
            await PutAsync(manifest, SnapshotNames.TowerFile(manifest.Shard, manifest.Version, part + 1), SnapshotNames.UserTower, piece, 0, 0, cancellation);
        }
    }

    private async Task<long> WriteRowsAsync(SnapshotManifest manifest, SnapshotContent content, CancellationToken cancellation)
    {
        int levels = content.Codebooks?.Levels ?? 0;
        var part = new SnapshotRowsBuilder(content.Dimensions, levels);
        long rows = 0;
        int parts = 0;
        foreach (ItemRow row in content.Rows)
        {
            // The protobuf size of a row bounds its size in columns but for the offsets: 8 bytes per string, of which a row
            // has 14 and one for each tag, attribute, language and region.
            long rowBytes = row.CalculateSize() + 256 + (8L * (row.Item.Tags.Count + (2 * row.Item.Attributes.Count)));
            if (part.Count > 0 && part.Size + rowBytes > FileBytesMax - HeaderBytesReserved)
            {
                await PutRowsAsync(part, ++parts, rows - part.Count);
                part = new SnapshotRowsBuilder(content.Dimensions, levels);
            }

            if (row.ModelVersion.Length > 0 && row.ModelVersion != manifest.ModelVersion)
            {
                throw new ArgumentException($"Row '{row.Item.ItemId}' is of model {row.ModelVersion}; the snapshot is of {manifest.ModelVersion}.", nameof(content));
            }

            part.Add(row);
            rows++;
        }

        if (part.Count > 0) await PutRowsAsync(part, ++parts, rows - part.Count);
        return rows;

        Task PutRowsAsync(SnapshotRowsBuilder builder, int number, long firstRow) => PutAsync(
            manifest, SnapshotNames.RowsFile(manifest.Shard, manifest.Version, number), SnapshotNames.Rows, builder.Build(), firstRow, builder.Count, cancellation);
    }

    private async Task PutAsync(SnapshotManifest manifest, string name, string kind, ReadOnlyMemory<byte> bytes, long firstRow, int rows, CancellationToken cancellation)
    {
        await blobs.PutAsync(name, bytes, cancellation);
        manifest.Files.Add(new SnapshotFile
        {
            Name = name,
            Kind = kind,
            Bytes = bytes.Length,
            Sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes.Span)),
            FirstRow = firstRow,
            Rows = rows,
        });
    }

    // `latest` names every version that may still have files, newest first. It is written before old files go: a crash
    // between the two leaves them named, and the next publication deletes them.
    private async Task PublishAsync(uint shard, string version, CancellationToken cancellation)
    {
        IReadOnlyList<string> before = await LatestFile.ReadAsync(blobs, shard, cancellation);
        List<string> versions = [version, .. before.Where(old => old != version)];
        await blobs.PutAsync(SnapshotNames.Latest(shard), LatestFile.Format(versions), cancellation);
        if (versions.Count <= VersionsKept) return;

        foreach (string old in versions.Skip(VersionsKept)) await DeleteFilesAsync(shard, old, cancellation);
        await blobs.PutAsync(SnapshotNames.Latest(shard), LatestFile.Format(versions.Take(VersionsKept)), cancellation);
    }

    private async Task DeletePartsAsync(Func<int, string> name, CancellationToken cancellation)
    {
        int parts = 0;
        while (await blobs.GetAsync(name(parts + 1), cancellation) is not null) parts++;
        // Last first: a crash in between leaves a run without gaps, which the next attempt finds.
        for (; parts > 0; parts--) await blobs.DeleteAsync(name(parts), cancellation);
    }
}

/// <summary>The <c>latest</c> file: one version per line, newest first.</summary>
internal static class LatestFile
{
    public static async Task<IReadOnlyList<string>> ReadAsync(ISnapshotBlobs blobs, uint shard, CancellationToken cancellation)
    {
        byte[]? bytes = await blobs.GetAsync(SnapshotNames.Latest(shard), cancellation);
        return bytes is null ? [] : Encoding.UTF8.GetString(bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    public static byte[] Format(IEnumerable<string> versions) =>
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{string.Join('\n', versions)}\n"));
}
