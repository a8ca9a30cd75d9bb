using System.Text.Json;

namespace Mesh.Hosting.Tests;

public sealed class LocalSnapshotRootTests : IDisposable
{
    private const string Name = "snapshots/0/v1/index-00001.safetensors";

    private readonly string _root = Path.Combine(Path.GetTempPath(), $"feedmesh-root-{Guid.NewGuid():N}");

    public void Dispose()
    {
        if (Directory.Exists(_root)) Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public void The_folder_above_a_listed_file_that_is_there_is_where_the_binding_keeps_its_files()
    {
        string path = Path.Combine(_root, Name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, [1]);

        Assert.Equal(_root, LocalSnapshotRoot.Find(List("/elsewhere/other", path), Name));
        Assert.Null(LocalSnapshotRoot.Find(List("/elsewhere/other"), Name));
    }

    [Fact]
    public void A_store_elsewhere_or_of_another_kind_has_no_local_folder()
    {
        Assert.Null(LocalSnapshotRoot.Find(List(Path.Combine(_root, Name)), Name)); // on another machine: not there
        Assert.Null(LocalSnapshotRoot.Find(List(Name), Name));
        Assert.Null(LocalSnapshotRoot.Find("null"u8, Name));
        Assert.Null(LocalSnapshotRoot.Find("[null]"u8, Name));
        Assert.Null(LocalSnapshotRoot.Find("""{"Contents":[]}"""u8, Name));
        Assert.Null(LocalSnapshotRoot.Find("not json"u8, Name));
        Assert.Null(LocalSnapshotRoot.Find([], Name));
    }

    private static byte[] List(params string[] paths) => JsonSerializer.SerializeToUtf8Bytes(paths);
}
