using Mesh.Inference;

namespace Mesh.IndexUpdater.Encoders;

/// <summary>Where encoders come from, by version. An edge of the process: model packages lie on disk.</summary>
internal interface IItemModels
{
    /// <summary>Used until a message on the topic models names another.</summary>
    IItemEncoder Default { get; }

    /// <param name="path">Folder of the package under Models:Root, where known; empty = every folder is looked at.</param>
    /// <exception cref="ModelRejectedException">There is no such package, or it is broken.</exception>
    IItemEncoder Open(string version, string path);
}
