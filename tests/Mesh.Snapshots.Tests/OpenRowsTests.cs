using System.Text;
using Mesh.Contracts;

namespace Mesh.Snapshots.Tests;

public sealed class OpenRowsTests : IDisposable
{
    private readonly string _root = Path.Combine(Path.GetTempPath(), $"feedmesh-snapshots-{Guid.NewGuid():N}");
    private readonly DirectorySnapshotBlobs _blobs;

    public OpenRowsTests() => _blobs = new DirectorySnapshotBlobs(_root);

    public void Dispose()
    {
        if (Directory.Exists(_root)) Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Files_opened_at_once_hold_the_rows_that_were_written_in_their_order(int threads)
    {
        List<ItemRow> rows = SampleRows.Make(4_000, seed: 7);
        SnapshotManifest manifest = await WriteAsync(_blobs, rows);

        using SnapshotParts parts = await new SnapshotReader(_blobs).OpenRowsAsync(manifest, threads, default);

        Assert.True(parts.Rows.Count > 2, $"{parts.Rows.Count} files");
        Assert.Equal(rows, parts.Rows.SelectMany(part => Enumerable.Range(0, part.Count).Select(part.ToItemRow)));
    }

    [Fact]
    public async Task A_snapshot_that_is_deleted_while_it_is_open_can_still_be_read()
    {
        List<ItemRow> rows = SampleRows.Make(300, seed: 8);
        SnapshotManifest manifest = await WriteAsync(_blobs, rows);

        using SnapshotParts parts = await new SnapshotReader(_blobs).OpenRowsAsync(manifest, 2, default);
        Directory.Delete(_root, recursive: true);

        Assert.Equal(rows, parts.Rows.SelectMany(part => Enumerable.Range(0, part.Count).Select(part.ToItemRow)));
    }

    [Fact]
    public async Task A_damaged_missing_or_miscounted_file_is_refused_by_name()
    {
        SnapshotManifest manifest = await WriteAsync(_blobs, SampleRows.Make(300, seed: 9));
        SnapshotFile file = manifest.Files.Single(file => file.Kind == SnapshotNames.Rows);
        byte[] bytes = (await _blobs.GetAsync(file.Name, default))!;

        SnapshotManifest miscounted = manifest.Clone();
        miscounted.Items++;
        await RefusedAsync(_blobs, miscounted, "301");
        bytes[^1] ^= 1;
        await _blobs.PutAsync(file.Name, bytes, default);
        await RefusedAsync(_blobs, manifest, "sha256");
        await _blobs.PutAsync(file.Name, bytes.AsMemory()[..^1], default);
        await RefusedAsync(_blobs, manifest, file.Name);
        await _blobs.PutAsync(file.Name, default, default);
        await RefusedAsync(_blobs, manifest, "0 bytes");
        await _blobs.DeleteAsync(file.Name, default);
        await RefusedAsync(_blobs, manifest, "missing");
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("snapshots/../../outside")]
    [InlineData("/etc/hostname")]
    [InlineData("")]
    public async Task A_name_that_leads_out_of_the_directory_is_refused(string name)
    {
        Directory.CreateDirectory(_root);

        await Assert.ThrowsAsync<SnapshotFormatException>(() => _blobs.GetAsync(name, default));
        await Assert.ThrowsAsync<SnapshotFormatException>(() => _blobs.OpenAsync(name, default));
        await Assert.ThrowsAsync<SnapshotFormatException>(() => _blobs.PutAsync(name, default, default));
        await Assert.ThrowsAsync<SnapshotFormatException>(() => _blobs.DeleteAsync(name, default));
    }

    [Fact]
    public void Equal_texts_are_one_string_and_only_texts_past_the_bounds_are_the_callers_own()
    {
        var pool = new StringPool();
        long ownBytes = 0;
        string longer = new('x', StringPool.LengthMax + 1);

        Assert.Same(pool.Take("tag", ref ownBytes), pool.Take("tag"u8, ref ownBytes));
        Assert.Same("", pool.Take(""u8, ref ownBytes));
        Assert.Equal("猫 👍🏽", pool.Take(Encoding.UTF8.GetBytes("猫 👍🏽"), ref ownBytes));
        Assert.Equal(0, ownBytes);
        long poolBytes = pool.Bytes;
        Assert.NotSame(pool.Take(longer, ref ownBytes), pool.Take(Encoding.UTF8.GetBytes(longer), ref ownBytes));
        Assert.Equal(2 * StringPool.BytesOf(longer), ownBytes);
        Assert.Equal(poolBytes, pool.Bytes);
        Assert.Throws<DecoderFallbackException>(() => pool.Take([0xff, 0xfe], ref ownBytes));
    }

    [Fact]
    public void A_full_pool_keeps_what_it_has_and_takes_nothing_more()
    {
        var pool = new StringPool();
        long ownBytes = 0;
        for (int i = 0; i < StringPool.EntriesMax; i++) pool.Take($"{i}", ref ownBytes);

        Assert.Equal(0, ownBytes);
        Assert.NotSame(pool.Take("one more", ref ownBytes), pool.Take("one more", ref ownBytes));
        Assert.Equal(2 * StringPool.BytesOf("one more"), ownBytes);
        Assert.Same(pool.Take("7", ref ownBytes), pool.Take("7", ref ownBytes));
    }

    [Fact]
    public void Texts_by_their_bytes_are_those_that_decoding_gives_whatever_was_met_before()
    {
        var pool = new StringPool();
        long ownBytes = 0;

        // Enough for many to share a place; of the same length, and alike in their first and last 8 bytes.
        string[] texts = [.. Enumerable.Range(0, 60_000).Select(i => $"same-at-{i:00000}-the-ends"), "", "a", "\u00e4", "\ud83d\ude00", "tag\0"];
        for (int round = 0; round < 2; round++)
        {
            foreach (string text in texts)
            {
                string taken = pool.Take(Encoding.UTF8.GetBytes(text), ref ownBytes);
                Assert.Equal(text, taken);
                Assert.Same(taken, pool.Take(text, ref ownBytes));
            }
        }

        Assert.Equal(0, ownBytes);
        Assert.Equal("a\u0001", pool.Take([97, 1], ref ownBytes));
        Assert.Throws<DecoderFallbackException>(() => pool.Take([97, 0x81], ref ownBytes));
    }

    private static async Task RefusedAsync(ISnapshotBlobs blobs, SnapshotManifest manifest, string named)
    {
        SnapshotFormatException refused = await Assert.ThrowsAsync<SnapshotFormatException>(() => new SnapshotReader(blobs).OpenRowsAsync(manifest, 2, default));
        Assert.Contains(named, refused.Message, StringComparison.Ordinal);
    }

    private static Task<SnapshotManifest> WriteAsync(ISnapshotBlobs blobs, List<ItemRow> rows) => new SnapshotWriter(blobs).WriteAsync(
        new SnapshotContent
        {
            Manifest = new SnapshotManifest { Version = "v1", ModelVersion = "hash64-1" },
            Dimensions = 64,
            Codebooks = new Mesh.Numerics.ResidualCodebooks(3, 4, 64, new float[3 * 4 * 64]),
            Rows = rows,
        }, default);
}
