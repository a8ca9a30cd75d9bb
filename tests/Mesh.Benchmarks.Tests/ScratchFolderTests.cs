using Mesh.Benchmarks.Ann;
using Mesh.Testing;

namespace Mesh.Benchmarks.Tests;

public sealed class ScratchFolderTests : IDisposable
{
    private readonly TempFolder _parent = new();

    public void Dispose() => _parent.Dispose();

    [Fact]
    public void A_run_deletes_its_folder_and_what_killed_runs_have_left()
    {
        _parent.Write("run-killed/lock", ""); // the kernel has taken the lock from the process that died
        _parent.Write("run-killed/arrays/1.bin", "numbers");
        _parent.Write("other/lock", "");

        var folder = new ScratchFolder(_parent.Path, "run-");
        string path = folder.Path;

        Assert.False(Directory.Exists(_parent.In("run-killed")));
        Assert.True(Directory.Exists(_parent.In("other")));
        Assert.True(Directory.Exists(path));
        folder.Dispose();
        Assert.False(Directory.Exists(path));
    }

    [Fact]
    public void The_folders_of_runs_that_go_on_stay()
    {
        using var first = new ScratchFolder(_parent.Path, "run-");
        using var second = new ScratchFolder(_parent.Path, "run-");

        Assert.True(File.Exists(Path.Combine(first.Path, "lock")));
        Assert.NotEqual(first.Path, second.Path);
    }

    [Fact]
    public void A_folder_without_a_lock_is_deleted_a_day_later()
    {
        foreach (string name in (string[])["run-new", "run-old"]) Directory.CreateDirectory(_parent.In(name));
        Directory.SetLastWriteTimeUtc(_parent.In("run-old"), TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(-25));

        using var folder = new ScratchFolder(_parent.Path, "run-");

        Assert.True(Directory.Exists(_parent.In("run-new")));
        Assert.False(Directory.Exists(_parent.In("run-old")));
    }
}
