namespace Mesh.Benchmarks.Ann;

/// <summary>
/// A folder among the temporary files, deleted at the end of the run; what killed runs have left is deleted when the next one begins. A run holds a lock
/// on a file in its folder, which the kernel takes from a process that dies: so a folder whose lock is free is nobody's, whichever container its run was in.
/// </summary>
internal sealed class ScratchFolder : IDisposable
{
    private const string LockName = "lock";

    // A folder without a lock is one that is being made, or of a version without locks.
    private static readonly TimeSpan s_unlockedAgeMax = TimeSpan.FromDays(1);

    private readonly FileStream _lock;

    /// <param name="parent">Where it is made, and where what is left is looked for.</param>
    /// <param name="prefix">With which its name begins, and those of earlier runs.</param>
    public ScratchFolder(string parent, string prefix)
    {
        foreach (string left in Directory.GetDirectories(parent, prefix + "*")) DeleteIfLeft(left);
        Path = Directory.CreateDirectory(System.IO.Path.Combine(parent, $"{prefix}{Guid.NewGuid():N}")).FullName;
        _lock = Lock(Path, FileMode.CreateNew);
    }

    public string Path { get; }

    public void Dispose()
    {
        _lock.Dispose();
        Directory.Delete(Path, recursive: true);
    }

    private static FileStream Lock(string folder, FileMode mode) => new(System.IO.Path.Combine(folder, LockName), mode, FileAccess.ReadWrite, FileShare.None);

    private static void DeleteIfLeft(string folder)
    {
        try
        {
            Lock(folder, FileMode.Open).Dispose();
        }
        catch (FileNotFoundException) when (TimeProvider.System.GetUtcNow() - Directory.GetLastWriteTimeUtc(folder) > s_unlockedAgeMax)
        {
            // Of long ago.
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return; // in use, just made, or another user's
        }

        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            AnnBenchmark.Say($"{folder} is of a run that was killed, and cannot be deleted: {fault.Message}");
        }
    }
}
