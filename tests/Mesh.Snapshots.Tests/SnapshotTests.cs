using Mesh.Contracts;
using Mesh.Numerics;

namespace Mesh.Snapshots.Tests;

public sealed class SnapshotTests
{
    private readonly MemoryBlobs _blobs = new();

    [Theory]
    [InlineData(0, 3)]
    [InlineData(1, 3)]
    [InlineData(500, 3)]
    [InlineData(500, 0)]
    public async Task Every_row_comes_back_exactly(int count, int levels)
    {
        List<ItemRow> rows = SampleRows.Make(count, seed: 1, levels: levels);

        SnapshotManifest written = await WriteAsync("v1", rows, levels);
        SnapshotManifest? manifest = await Reader.ReadLatestAsync(0, default);

        Assert.Equal(written, manifest);
        Assert.Equal(count, manifest!.Items);
        Assert.Equal(rows, await ReadAllAsync(manifest));
    }

    [Fact]
    public async Task Columns_give_the_same_values_as_rows()
    {
        List<ItemRow> rows = SampleRows.Make(200, seed: 2);
        SnapshotManifest manifest = await WriteAsync("v1", rows);

        await foreach (SnapshotRows part in Reader.ReadRowsAsync(manifest, default))
        {
            for (int i = 0; i < part.Count; i++)
            {
                ItemRow row = rows[(int)part.FirstRow + i];
                Assert.Equal(row.Item.ItemId, part.ItemId(i));
                Assert.Equal(row.Item.AuthorId, part.AuthorId(i));
                Assert.Equal(row.Version, part.Versions[i]);
                Assert.Equal(row.Item.CreatedAtMs, part.CreatedAtMs[i]);
                Assert.Equal(row.Codes.Count > 0, part.HasCodes(i));
                Assert.Equal(row.Embedding.ToByteArray(), System.Runtime.InteropServices.MemoryMarshal.AsBytes(part.Embeddings.Slice(i * 64, 64)).ToArray());
                if (row.Counters is not null) Assert.Equal(row.Counters.Counts, part.Counters.Slice(i * 15, 15).ToArray());
            }
        }
    }

    [Fact]
    public async Task Files_stay_under_the_size_that_a_sidecar_takes()
    {
        SnapshotManifest manifest = await WriteAsync("v1", SampleRows.Make(4_000, seed: 3));

        SnapshotFile[] files = [.. manifest.Files.Where(file => file.Kind == SnapshotNames.Rows)];
        Assert.True(files.Length > 2, $"{files.Length} files");
        Assert.All(files, file => Assert.InRange(file.Bytes, 1, SnapshotWriter.FileBytesMax));
        // And not wastefully small: all but the last are nearly full.
        Assert.All(files[..^1], file => Assert.InRange(file.Bytes, SnapshotWriter.FileBytesMax * 9 / 10, SnapshotWriter.FileBytesMax));
    }

    [Fact]
    public async Task Codebooks_metadata_and_state_come_back()
    {
        ResidualCodebooks codebooks = Codebooks(3);
        SnapshotManifest manifest = await new SnapshotWriter(_blobs).WriteAsync(
            new SnapshotContent
            {
                Manifest = Manifest("v1"), Dimensions = 64, Codebooks = codebooks, Rows = SampleRows.Make(3, seed: 4),
                CodebooksMetadata = new Dictionary<string, string> { ["projection_seed"] = "17" }, State = [[1, 2], [3]],
            },
            default);

        ResidualCodebooks? read = await Reader.ReadCodebooksAsync(manifest, default);
        var state = new List<byte[]>();
        await foreach (byte[] part in Reader.ReadStateAsync(manifest, default)) state.Add(part);

        Assert.Equal(codebooks.Centroids.ToArray(), read!.Centroids.ToArray());
        Assert.Equal((3, 4, 64), (read.Levels, read.CodesPerLevel, read.Dimensions));
        Assert.Equal("17", (await Reader.ReadCodebooksMetadataAsync(manifest, default))["projection_seed"]);
        Assert.Equal([[1, 2], [3]], state);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(SnapshotWriter.FileBytesMax)]
    [InlineData((2 * SnapshotWriter.FileBytesMax) + 1)]
    public async Task A_user_tower_comes_back_whole_whatever_its_size_and_goes_with_its_version(int bytes)
    {
        var graph = new byte[bytes];
        new Random(9).NextBytes(graph);
        var content = new SnapshotContent
        {
            Manifest = Manifest("v1"), Dimensions = 64, Codebooks = Codebooks(3), Rows = SampleRows.Make(3, seed: 4), Tower = new SnapshotTower(graph, new byte[] { 1, 2, 3 }),
        };

        SnapshotManifest manifest = await new SnapshotWriter(_blobs).WriteAsync(content, default);
        SnapshotTower? read = await Reader.ReadTowerAsync(manifest, default);

        Assert.True(graph.AsSpan().SequenceEqual(read!.Graph.Span));
        Assert.Equal([1, 2, 3], read.Manifest.ToArray());
        Assert.All(manifest.Files, file => Assert.InRange(file.Bytes, 1, SnapshotWriter.FileBytesMax));
        string piece = manifest.Files.Last(file => file.Kind == SnapshotNames.UserTower).Name;
        _blobs.Files[piece][0] ^= 1;
        Assert.Contains(piece, (await Assert.ThrowsAsync<SnapshotFormatException>(() => Reader.ReadTowerAsync(manifest, default))).Message, StringComparison.Ordinal);
        await new SnapshotWriter(_blobs).DiscardAsync(0, "v1", default);
        Assert.Equal([SnapshotNames.Latest(0)], _blobs.Files.Keys);
    }

    [Fact]
    public async Task A_snapshot_without_a_tower_says_so()
    {
        Assert.Null(await Reader.ReadTowerAsync(await WriteAsync("v1", SampleRows.Make(3, seed: 4)), default));
    }

    [Fact]
    public async Task A_damaged_or_missing_file_is_named_and_never_read()
    {
        SnapshotManifest manifest = await WriteAsync("v1", SampleRows.Make(10, seed: 5));
        foreach (SnapshotFile file in manifest.Files)
        {
            byte[] good = _blobs.Files[file.Name];
            byte[] flipped = [.. good];
            flipped[good.Length / 2] ^= 1;
            foreach (byte[]? damaged in new[] { flipped, good[..^1], null })
            {
                if (damaged is null) _blobs.Files.Remove(file.Name);
                else _blobs.Files[file.Name] = damaged;

                SnapshotFormatException refused = await Assert.ThrowsAsync<SnapshotFormatException>(async () =>
                {
                    await Reader.ReadCodebooksAsync(manifest, default);
                    await ReadAllAsync(manifest);
                });
                Assert.Contains(file.Name, refused.Message, StringComparison.Ordinal);
            }

            _blobs.Files[file.Name] = good;
        }

        Assert.Equal(10, (await ReadAllAsync(manifest)).Count);
    }

    [Fact]
    public async Task A_crash_at_any_write_leaves_the_version_before_readable()
    {
        List<ItemRow> rows = SampleRows.Make(20, seed: 6);
        await WriteAsync("v1", rows);
        int writes = 0;
        for (int failAt = 1; ; failAt++)
        {
            _blobs.FailAtWrite = failAt;
            try
            {
                await WriteAsync($"v2-{failAt}", SampleRows.Make(20, seed: 7));
                break;
            }
            catch (IOException)
            {
                writes++;
                SnapshotManifest? latest = await Reader.ReadLatestAsync(0, default);
                Assert.Equal("v1", latest!.Version);
                Assert.Equal(rows, await ReadAllAsync(latest));
            }
        }

        Assert.Equal(4, writes); // codebooks, rows, manifest, latest
    }

    [Fact]
    public async Task The_newest_three_versions_are_kept_and_older_files_are_deleted()
    {
        for (int version = 1; version <= 5; version++) await WriteAsync($"v{version}", SampleRows.Make(5, seed: version));

        Assert.Equal(["v5", "v4", "v3"], await Reader.ReadVersionsAsync(0, default));
        Assert.Equal(["v3", "v4", "v5"], _blobs.Files.Keys.Where(name => name != SnapshotNames.Latest(0)).Select(name => name.Split('/')[2]).Distinct());
        foreach (string version in new[] { "v3", "v4", "v5" })
        {
            Assert.Equal(5, (await ReadAllAsync(await Reader.ReadManifestAsync(0, version, default))).Count);
        }
    }

    [Fact]
    public async Task Discard_removes_every_file_of_an_unfinished_version()
    {
        await WriteAsync("v1", SampleRows.Make(5, seed: 1));
        string[] before = [.. _blobs.Files.Keys];
        _blobs.FailAtWrite = 4;
        await Assert.ThrowsAsync<IOException>(() => WriteAsync("v2", SampleRows.Make(4_000, seed: 2)));
        Assert.True(_blobs.Files.Count > before.Length);

        await new SnapshotWriter(_blobs).DiscardAsync(0, "v2", default);

        Assert.Equal(before, _blobs.Files.Keys);
    }

    [Fact]
    public async Task A_row_that_does_not_fit_the_snapshot_is_refused_by_name()
    {
        ItemRow narrow = SampleRows.Make(1, seed: 1, dimensions: 32)[0];
        ItemRow uncoded = SampleRows.Make(1, seed: 1)[0];
        uncoded.Codes.Clear();
        uncoded.Codes.Add([1, 2]);

        Assert.Contains("item-0", (await Assert.ThrowsAsync<ArgumentException>(() => WriteAsync("v1", [narrow]))).Message, StringComparison.Ordinal);
        Assert.Contains("item-0", (await Assert.ThrowsAsync<ArgumentException>(() => WriteAsync("v1", [uncoded]))).Message, StringComparison.Ordinal);
        ItemRow other = SampleRows.Make(1, seed: 1)[0];
        other.ModelVersion = "another";
        Assert.Contains("'item-0' is of model another", (await Assert.ThrowsAsync<ArgumentException>(() => WriteAsync("v1", [other]))).Message, StringComparison.Ordinal);
    }

    private SnapshotReader Reader => new(_blobs);

    private Task<SnapshotManifest> WriteAsync(string version, IEnumerable<ItemRow> rows, int levels = 3) => new SnapshotWriter(_blobs).WriteAsync(
        new SnapshotContent { Manifest = Manifest(version), Dimensions = 64, Codebooks = levels == 0 ? null : Codebooks(levels), Rows = rows }, default);

    private static SnapshotManifest Manifest(string version) =>
        new() { Version = version, Sequence = 77, CreatedAtMs = 1_700_000_000_000, ModelVersion = "hash64-1", CounterHalfLifeHours = 72 };

    private static ResidualCodebooks Codebooks(int levels)
    {
        var random = new Random(8);
        var centroids = new float[levels * 4 * 64];
        for (int i = 0; i < centroids.Length; i++) centroids[i] = (float)random.NextDouble();
        return new ResidualCodebooks(levels, 4, 64, centroids);
    }

    private async Task<List<ItemRow>> ReadAllAsync(SnapshotManifest manifest)
    {
        var rows = new List<ItemRow>();
        await foreach (SnapshotRows part in Reader.ReadRowsAsync(manifest, default))
        {
            for (int i = 0; i < part.Count; i++) rows.Add(part.ToItemRow(i));
        }

        return rows;
    }
}
