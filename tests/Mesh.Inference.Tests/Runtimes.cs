using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Mesh.Inference.Tests;

/// <summary>Runtimes, and the package in the repository that they run.</summary>
internal static class Runtimes
{
    public static string MiniFolder { get; } = ModelFolder.Find(new ModelsOptions(), AppContext.BaseDirectory).Resolve("mini");

    public static InferenceRuntime Create(InferenceOptions? options = null) =>
        new(Options.Create(options ?? new InferenceOptions()), NullLogger<InferenceRuntime>.Instance);

    public static ModelPackage LoadMini(InferenceRuntime runtime, ModelGraphs graphs = ModelGraphs.Item | ModelGraphs.User | ModelGraphs.Ranking) =>
        ModelPackage.Load(MiniFolder, graphs, runtime, CancellationToken.None);
}
