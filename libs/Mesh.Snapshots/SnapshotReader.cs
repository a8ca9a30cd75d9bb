using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Snapshots;

/// <summary>Reads snapshots. The size and sha256 of every file are checked against the manifest before its content is looked at.</summary>
public sealed class SnapshotReader(ISnapshotBlobs blobs)
{
    /// <summary>Largest user tower that is read: 512 MiB.</summary>
    public const long TowerBytesMax = 512L * 1024 * 1024;

    private static readonly JsonParser Json = new(JsonParser.Settings.Default.WithIgnoreUnknownFields(true));

    /// <summary>Versions that <c>latest</c> names, newest first; none where nothing was published yet.</summary>
    public Task<IReadOnlyList<string>> ReadVersionsAsync(uint shard, CancellationToken cancellation) => LatestFile.ReadAsync(blobs, shard, cancellation);

    /// <summary>Manifest of the newest version, or null where none is published.</summary>
    /// <exception cref="SnapshotFormatException">The manifest is missing or damaged.</exception>
    public async Task<SnapshotManifest?> ReadLatestAsync(uint shard, CancellationToken cancellation)
    {
        IReadOnlyList<string> versions = await ReadVersionsAsync(shard, cancellation);
        return versions.Count == 0 ? null : await ReadManifestAsync(shard, versions[0], cancellation);
    }

    /// <summary>Manifest of one version.</summary>
    /// <exception cref="SnapshotFormatException">It is missing or damaged.</exception>
    public async Task<SnapshotManifest> ReadManifestAsync(uint shard, string version, CancellationToken cancellation)
    {
        string name = SnapshotNames.Manifest(shard, version);
        byte[] bytes = await blobs.GetAsync(name, cancellation) ?? throw new SnapshotFormatException($"{name} is missing.");
        SnapshotManifest manifest;
        try
        {
            manifest = Json.Parse<SnapshotManifest>(Encoding.UTF8.GetString(bytes));
        }
        catch (Exception exception) when (exception is InvalidProtocolBufferException or InvalidJsonException)
        {
            throw new SnapshotFormatException($"{name} is not a manifest: {exception.Message}", exception);
        }

        if (manifest.Version != version || manifest.Shard != shard)
        {
            throw new SnapshotFormatException($"{name} is the manifest of shard {manifest.Shard}, version '{manifest.Version}'.");
        }

        return manifest;
    }

    /// <summary>The codebooks that the rows' codes come from, or null where the snapshot was made before there were any.</summary>
    /// <exception cref="SnapshotFormatException">The file is missing, damaged or does not fit the manifest.</exception>
    public async Task<ResidualCodebooks?> ReadCodebooksAsync(SnapshotManifest manifest, CancellationToken cancellation) =>
        (await ReadCodebooksFileAsync(manifest, cancellation))?.Codebooks;

    /// <summary>Text kept with the codebooks; empty where there are none.</summary>
    /// <inheritdoc cref="ReadCodebooksAsync"/>
    public async Task<IReadOnlyDictionary<string, string>> ReadCodebooksMetadataAsync(SnapshotManifest manifest, CancellationToken cancellation) =>
        (await ReadCodebooksFileAsync(manifest, cancellation))?.Metadata ?? new Dictionary<string, string>();

    /// <summary>The row files in order, one at a time: at most one is held by this reader.</summary>
    /// <exception cref="SnapshotFormatException">A file is missing, damaged or does not fit the manifest.</exception>
    public async IAsyncEnumerable<SnapshotRows> ReadRowsAsync(SnapshotManifest manifest, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        long next = 0;
        foreach (SnapshotFile file in manifest.Files.Where(file => file.Kind == SnapshotNames.Rows))
        {
            SnapshotRows rows = Rows(manifest, file, await ReadFileAsync(file, cancellation), next);
            next += rows.Count;
            yield return rows;
        }

        if (next != manifest.Items) throw new SnapshotFormatException($"The row files hold {next} rows; the manifest says {manifest.Items}.");
    }

    /// <summary>
    /// All row files in order, open at once, read and checked by several threads. Where the store maps files none of them is on the
    /// heap; otherwise the whole snapshot is, until the result is disposed of.
    /// </summary>
    /// <param name="threads">Files read and hashed at a time.</param>
    /// <inheritdoc cref="ReadRowsAsync"/>
    public async Task<SnapshotParts> OpenRowsAsync(SnapshotManifest manifest, int threads, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        SnapshotFile[] files = [.. manifest.Files.Where(file => file.Kind == SnapshotNames.Rows)];
        long next = 0;
        long[] firsts = [.. files.Select(file => (next += file.Rows) - file.Rows)];
        if (next != manifest.Items) throw new SnapshotFormatException($"The row files hold {next} rows; the manifest says {manifest.Items}.");

        var rows = new SnapshotRows[files.Length];
        var open = new SnapshotBytes?[files.Length];
        try
        {
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };
            await Parallel.ForAsync(0, files.Length, parallel, async (i, token) =>
            {
                open[i] = await blobs.OpenAsync(files[i].Name, token) ?? throw new SnapshotFormatException($"{files[i].Name} is missing.");
                Check(files[i], open[i]!.Memory.Span);
                rows[i] = Rows(manifest, files[i], open[i]!.Memory, firsts[i]);
            });
            return new SnapshotParts(rows, open);
        }
        catch
        {
            foreach (SnapshotBytes? bytes in open) bytes?.Dispose();
            throw;
        }
    }

    /// <summary>The user tower of the snapshot's model, or null where it has none.</summary>
    /// <exception cref="SnapshotFormatException">A file of it is missing or damaged, or it is over <see cref="TowerBytesMax"/>.</exception>
    public async Task<SnapshotTower?> ReadTowerAsync(SnapshotManifest manifest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        SnapshotFile[] pieces = [.. manifest.Files.Where(file => file.Kind == SnapshotNames.UserTower)];
        SnapshotFile? model = manifest.Files.FirstOrDefault(file => file.Kind == SnapshotNames.Model);
        if (pieces.Length == 0 && model is null) return null;
        if (pieces.Length == 0 || model is null) throw new SnapshotFormatException($"Snapshot {manifest.Version} has {(model is null ? "a user tower without its manifest" : "the manifest of a user tower without its graph")}.");

        long bytes = pieces.Sum(piece => piece.Bytes);
        if (bytes > TowerBytesMax) throw new SnapshotFormatException($"The user tower of snapshot {manifest.Version} has {bytes} bytes; at most {TowerBytesMax}.");
        var graph = new byte[bytes];
        int position = 0;
        foreach (SnapshotFile piece in pieces)
        {
            byte[] content = await ReadFileAsync(piece, cancellation);
            content.CopyTo(graph, position);
            position += content.Length;
        }

        return new SnapshotTower(graph, await ReadFileAsync(model, cancellation));
    }

    /// <summary>The files of the writer's own state, in order.</summary>
    /// <exception cref="SnapshotFormatException">A file is missing or damaged.</exception>
    public async IAsyncEnumerable<byte[]> ReadStateAsync(SnapshotManifest manifest, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        foreach (SnapshotFile file in manifest.Files.Where(file => file.Kind == SnapshotNames.State))
        {
            yield return await ReadFileAsync(file, cancellation);
        }
    }

    private async Task<(ResidualCodebooks Codebooks, IReadOnlyDictionary<string, string> Metadata)?> ReadCodebooksFileAsync(
        SnapshotManifest manifest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        SnapshotFile? file = manifest.Files.FirstOrDefault(file => file.Kind == SnapshotNames.Codebooks);
        if (file is null) return null;

        var read = CodebooksFile.Read(await ReadFileAsync(file, cancellation));
        ResidualCodebooks codebooks = read.Codebooks;
        if (codebooks.Levels != manifest.CodeLevels || codebooks.CodesPerLevel != manifest.CodesPerLevel)
        {
            // Their dimensions are their own: a model may quantise another embedding than the one it searches by.
            throw new SnapshotFormatException(
                $"{file.Name} has {codebooks.Levels} levels of {codebooks.CodesPerLevel} codes; the manifest says {manifest.CodeLevels} of {manifest.CodesPerLevel}.");
        }

        return read;
    }

    private async Task<byte[]> ReadFileAsync(SnapshotFile file, CancellationToken cancellation)
    {
        byte[] bytes = await blobs.GetAsync(file.Name, cancellation) ?? throw new SnapshotFormatException($"{file.Name} is missing.");
        Check(file, bytes);
        return bytes;
    }

    private static void Check(SnapshotFile file, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != file.Bytes) throw new SnapshotFormatException($"{file.Name} has {bytes.Length} bytes; the manifest says {file.Bytes}.");

        string sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes));
        if (sha256 != file.Sha256) throw new SnapshotFormatException($"{file.Name} has the sha256 {sha256}; the manifest says {file.Sha256}.");
    }

    private static SnapshotRows Rows(SnapshotManifest manifest, SnapshotFile file, ReadOnlyMemory<byte> bytes, long first)
    {
        SnapshotRows rows = SnapshotRows.Read(bytes, file.FirstRow, manifest.ModelVersion);
        if (file.FirstRow == first && rows.Count == file.Rows && rows.Dimensions == manifest.Dimensions && rows.CodeLevels == manifest.CodeLevels) return rows;
        throw new SnapshotFormatException(
            $"{file.Name} holds {rows.Count} rows of {rows.Dimensions} dimensions and {rows.CodeLevels} code levels from row {file.FirstRow}; "
            + $"expected {file.Rows} of {manifest.Dimensions} and {manifest.CodeLevels} from row {first}.");
    }
}

/// <summary>Every row file of a snapshot, open at once.</summary>
public sealed class SnapshotParts : IDisposable
{
    private readonly SnapshotBytes?[] _open;

    internal SnapshotParts(IReadOnlyList<SnapshotRows> rows, SnapshotBytes?[] open)
    {
        Rows = rows;
        _open = open;
    }

    /// <summary>The files in order; not to be read after <see cref="Dispose"/>.</summary>
    public IReadOnlyList<SnapshotRows> Rows { get; }

    public void Dispose()
    {
        foreach (SnapshotBytes? bytes in _open) bytes?.Dispose();
    }
}
