using Mesh.Inference;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Transformer;

/// <summary>Which model serves from the start. Bound from the <c>Models</c> section, as the folder of all packages is.</summary>
public sealed class DefaultModelOptions
{
    /// <summary>Folder of a package under Models:Root. Empty, or not there = none: the heuristic scores. Default "mini".</summary>
    public string Default { get; init; } = "mini";
}

/// <summary>The packages under Models:Root.</summary>
internal sealed class PackageStore(ModelFolder root, InferenceRuntime runtime, IOptions<DefaultModelOptions> options) : IModelStore
{
    public string? DefaultPath => root.Packages().Select(Path.GetFileName).FirstOrDefault(name => name == options.Value.Default);

    public string? Find(string version)
    {
        foreach (string folder in root.Packages())
        {
            try
            {
                if (ModelPackage.ReadManifest(folder).Version == version) return Path.GetFileName(folder);
            }
            catch (ModelRejectedException)
            {
                // A broken neighbour is no reason not to find this one.
            }
        }

        return null;
    }

    public IRankModel Load(string path)
    {
        try
        {
            string folder = root.Resolve(path);
            if (!File.Exists(Path.Combine(folder, ModelManifest.FileName)))
            {
                throw new ModelRefusedException(
                    $"{path} under Models:Root ({root.Path}) has no {ModelManifest.FileName}. Copy the package there first.", mayCome: true);
            }

            return new OnnxRankModel(ModelPackage.Load(folder, ModelGraphs.Ranking, runtime, CancellationToken.None));
        }
        catch (ModelRejectedException rejected)
        {
            throw new ModelRefusedException(rejected.Message, inner: rejected);
        }
    }
}
