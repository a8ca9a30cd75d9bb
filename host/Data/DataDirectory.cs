namespace Mesh.Host.Data;

/// <summary>The data directory cannot be had: another host has it, or it cannot be written.</summary>
internal sealed class DataDirectoryInUseException(string message) : Exception(message);

/// <summary>
/// The folder that holds all state, owned by one host at a time. The lock is an open file (flock): the operating system lets
/// go of it when the process ends, however it ends, so it is never stale.
/// </summary>
internal sealed class DataDirectory : IDisposable
{
    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held)
    {
        FullPath = path;
        _lock = held;
        Run = new RunFile(Path.Combine(path, "run.json"));
    }

    public string FullPath { get; }

    public RunFile Run { get; }

    /// <exception cref="DataDirectoryInUseException">Another host runs on it.</exception>
    public static DataDirectory Open(string path)
    {
        path = Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Unusable(path, exception);
        }

        try
        {
            var held = new FileStream(Path.Combine(path, "host.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new DataDirectory(path, held);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw Unusable(path, exception);
        }
        catch (IOException exception) when (exception is not (DirectoryNotFoundException or FileNotFoundException or PathTooLongException))
        {
            RunState? other = new RunFile(Path.Combine(path, "run.json")).ReadLeftover();
            string owner = other is null ? "another host" : $"another host (process {other.Pid}, {other.GatewayUrl})";
            throw new DataDirectoryInUseException($"{path} is in use by {owner}. Stop it, or give this one its own folder: --data DIR.");
        }
    }

    public void Dispose() => _lock.Dispose();

    private static DataDirectoryInUseException Unusable(string path, Exception exception) =>
        new($"{path} cannot be used for data: {exception.Message} Choose another folder: --data DIR.");
}
