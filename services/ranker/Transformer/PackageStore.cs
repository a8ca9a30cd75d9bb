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
            return new OnnxRankModel(ModelPackage.Load(root.Resolve(path), ModelGraphs.Ranking, runtime, CancellationToken.None));
        }
        catch (ModelRejectedException rejected)
        {
            throw new ModelRefusedException(rejected.Message, rejected.MayCome, rejected);
        }
    }
}
