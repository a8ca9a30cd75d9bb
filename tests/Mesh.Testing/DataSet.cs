namespace Mesh.Testing;

/// <summary>Public data sets beside the repository: their licences forbid them in it. <c>FEEDMESH_DATA</c>, or ../shared/data.</summary>
public static class DataSet
{
    public static string Folder(string name) => Path.Combine(Root, name);

    public static bool IsThere(string name) => Directory.Exists(Folder(name));

    private static string Root => Environment.GetEnvironmentVariable("FEEDMESH_DATA") is { Length: > 0 } folder
        ? folder
        : Path.GetFullPath(Path.Combine(MeshHost.RepositoryRoot, "..", "shared", "data"));
}
