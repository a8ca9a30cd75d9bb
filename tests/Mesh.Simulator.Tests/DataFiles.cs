using System.Diagnostics;
using System.Text;

namespace Mesh.Simulator.Tests;

/// <summary>A folder of data files that a test writes and that is gone after it.</summary>
internal sealed class DataFiles : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("feedmesh-data-").FullName;

    public DataFiles Write(string name, params string[] lines)
    {
        Encoding encoding = name.Contains(".dat", StringComparison.Ordinal) ? Encoding.Latin1 : new UTF8Encoding(false);
        File.WriteAllText(Path.Combine(Folder, name), string.Concat(lines.Select(line => line + "\n")), encoding);
        return this;
    }

    /// <summary>Compresses a file with xz; the plain one goes.</summary>
    public DataFiles Compress(string name)
    {
        using Process xz = Process.Start("xz", [Path.Combine(Folder, name)]);
        xz.WaitForExit();
        Assert.Equal(0, xz.ExitCode);
        return this;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}

/// <summary>A test that needs the xz command.</summary>
public sealed class XzFactAttribute : FactAttribute
{
    public XzFactAttribute()
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        if (!folders.Any(folder => File.Exists(Path.Combine(folder, OperatingSystem.IsWindows() ? "xz.exe" : "xz")))) Skip = "Needs the xz command (xz-utils), which is not on PATH.";
    }
}
