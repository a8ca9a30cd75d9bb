namespace Mesh.Tidy.Tests;

/// <summary>The checkout that these tests judge.</summary>
internal static class Repository
{
    private static readonly string[] Skipped = ["artifacts", ".git", ".feedmesh", "node_modules", "TestResults"];

    public static string Root { get; } = FindRoot();

    /// <summary>Files below the root, relative with forward slashes, generated folders left out.</summary>
    public static IReadOnlyList<string> Files(string extension) => [.. Walk(Root)
        .Where(path => path.EndsWith(extension, StringComparison.Ordinal))
        .Select(path => Path.GetRelativePath(Root, path).Replace('\\', '/'))
        .Order(StringComparer.Ordinal)];

    public static string Read(string relativePath) => File.ReadAllText(Path.Combine(Root, relativePath));

    private static IEnumerable<string> Walk(string folder) => Directory.EnumerateFiles(folder)
        .Concat(Directory.EnumerateDirectories(folder)
            .Where(child => !Skipped.Contains(Path.GetFileName(child)) && new DirectoryInfo(child).LinkTarget is null)
            .SelectMany(Walk));

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Mesh.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"Mesh.sln is in no folder above {AppContext.BaseDirectory}.");
    }
}
