namespace Mesh.Ranker.Transformer;

/// <summary>Model packages on disk.</summary>
internal interface IModelStore
{
    /// <summary>Folder, under the root, of the package that is to serve from the start; null where there is none.</summary>
    string? DefaultPath { get; }

    /// <summary>Folder of the package whose manifest names this version; null where none does.</summary>
    string? Find(string version);

    /// <summary>Opens a package, with checksums, shapes and the golden pair verified.</summary>
    /// <exception cref="ModelRefusedException">The package is missing or broken; the message names file, value and rule.</exception>
    IRankModel Load(string path);
}

/// <summary>A package that must not serve.</summary>
internal sealed class ModelRefusedException(string reason, bool mayCome = false, Exception? inner = null) : Exception(reason, inner)
{
    /// <summary>It is not there (yet): worth another try.</summary>
    public bool MayCome => mayCome;
}
