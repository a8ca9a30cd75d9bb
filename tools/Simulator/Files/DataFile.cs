using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Mesh.Simulator.Import;

namespace Mesh.Simulator.Files;

/// <summary>A text file of a data set, plain or as .xz beside its plain name; the latter is read through the <c>xz</c> command.</summary>
public static class DataFile
{
    /// <summary>The first of the names that is there, plain or with .xz.</summary>
    /// <exception cref="DataException">None is; the message lists what was looked for.</exception>
    public static string Find(string folder, params IReadOnlyList<string> names)
    {
        string[] candidates = [.. names.SelectMany(name => new[] { name, $"{name}.xz" }).Select(name => Path.Combine(folder, name))];
        return candidates.FirstOrDefault(File.Exists) ?? throw new DataException($"{folder} holds none of {string.Join(", ", candidates.Select(Path.GetFileName))}.");
    }

    /// <summary>The lines of a file. Reading may stop anywhere.</summary>
    /// <exception cref="DataException">The file is damaged, or <c>xz</c> is needed and is not there.</exception>
    public static IEnumerable<string> Lines(string path, Encoding encoding)
    {
        return path.EndsWith(".xz", StringComparison.Ordinal) ? DecompressedLines(path, encoding) : File.ReadLines(path, encoding);
    }

    private static IEnumerable<string> DecompressedLines(string path, Encoding encoding)
    {
        using Process xz = StartXz(path, encoding);
        Task<string> complaint = xz.StandardError.ReadToEndAsync();
        bool toTheEnd = false;
        try
        {
            while (xz.StandardOutput.ReadLine() is { } line) yield return line;
            toTheEnd = true;
        }
        finally
        {
            if (!toTheEnd && !xz.HasExited) xz.Kill(); // the reader has enough
            xz.WaitForExit();
        }

        if (xz.ExitCode != 0) throw new DataException($"xz could not decompress {path}: {complaint.GetAwaiter().GetResult().Trim()}");
    }

    private static Process StartXz(string path, Encoding encoding)
    {
        var start = new ProcessStartInfo("xz", ["--decompress", "--stdout", "--", path])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = encoding,
            UseShellExecute = false,
        };
        try
        {
            return Process.Start(start) ?? throw new DataException("The xz command could not be started.");
        }
        catch (Win32Exception exception)
        {
            throw new DataException($"{path} is compressed and the xz command is not there. Install xz-utils, or decompress the file beside itself.", exception);
        }
    }
}
