using Mesh.Inference;
using Microsoft.Extensions.Options;

namespace Mesh.Ranker.Transformer;

/// <summary>The packages under Models:Root.</summary>
internal sealed class PackageStore(ModelFolder root, InferenceRuntime runtime, IOptions<ModelsOptions> options) : IModelStore
{
    public string? DefaultPath => root.Packages().Select(Path.GetFileName).FirstOrDefault(name => name == options.Value.Default);

    public string? Find(string version) => Path.GetFileName(root.FindVersion(version));

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
