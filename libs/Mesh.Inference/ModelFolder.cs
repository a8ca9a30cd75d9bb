using Mesh.Contracts;

namespace Mesh.Inference;

/// <summary>Where model packages lie, for services: the folder of <c>Models:Root</c>, or the one found.</summary>
/// <param name="Path">Absolute; it need not exist, as a service without a model goes on without one.</param>
public sealed record ModelFolder(string Path)
{
    private const string Name = "models";

    /// <summary>
    /// The configured folder; else the nearest <c>models</c> with a package in it, from the content root upwards; else the one
    /// beside the binary, where publishing puts it.
    /// </summary>
    public static ModelFolder Find(ModelsOptions options, string contentRoot)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Root.Length > 0) return new ModelFolder(System.IO.Path.GetFullPath(options.Root, contentRoot));
        for (DirectoryInfo? folder = new(contentRoot); folder is not null; folder = folder.Parent)
        {
            string models = System.IO.Path.Combine(folder.FullName, Name);
            if (HoldsPackage(models)) return new ModelFolder(models);
        }

        return new ModelFolder(System.IO.Path.Combine(AppContext.BaseDirectory, Name));
    }

    /// <summary>The folder of a package, such as "mini".</summary>
    /// <exception cref="ModelRejectedException">The name is none of a folder directly under the root (messages from a topic name it), or no package is there.</exception>
    public string Resolve(string package)
    {
        if (!ModelChangeRules.IsPath(package)) throw new ModelRejectedException($"'{package}' is not {ModelChangeRules.PathRule} ({Path}).");
        string folder = System.IO.Path.Combine(Path, package);
        return HasManifest(folder)
            ? folder
            : throw new ModelRejectedException($"{package} under Models:Root ({Path}) has no {ModelManifest.FileName}. Copy the package there first.") { MayCome = true };
    }

    /// <summary>Folders directly under the root that have a manifest and a name that messages may have, by name.</summary>
    public IReadOnlyList<string> Packages() => !Directory.Exists(Path) ? [] : [.. Directory.EnumerateDirectories(Path)
        .Where(folder => ModelChangeRules.IsPath(System.IO.Path.GetFileName(folder)) && HasManifest(folder)).Order(StringComparer.Ordinal)];

    /// <summary>The folder of the package of that version; null where none is. A broken package beside it is passed over.</summary>
    public string? FindVersion(string version) => Packages().FirstOrDefault(folder => IsVersion(folder, version));

    private static bool IsVersion(string folder, string version)
    {
        try
        {
            return ModelPackage.ReadManifest(folder).Version == version;
        }
        catch (ModelRejectedException)
        {
            return false;
        }
    }

    private static bool HasManifest(string folder) => File.Exists(System.IO.Path.Combine(folder, ModelManifest.FileName));

    private static bool HoldsPackage(string models) => new ModelFolder(models).Packages().Count > 0;
}
