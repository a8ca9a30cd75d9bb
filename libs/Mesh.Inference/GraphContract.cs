using Mesh.Contracts;
using Mesh.Inference.Features;

namespace Mesh.Inference;

/// <summary>Files of a package's graphs, in the order of <see cref="ModelPackage"/>'s sessions.</summary>
internal static class GraphFiles
{
    public const string User = "user.onnx";

    public static readonly string[] Names = ["item.onnx", User, "context.onnx", "candidates.onnx"];

    public static readonly ModelGraphs[] NeededFor = [ModelGraphs.Item, ModelGraphs.User, ModelGraphs.Ranking, ModelGraphs.Ranking];
}

/// <summary>
/// Checks that graphs take and give what the services feed and read. A graph may leave out inputs that it does not read, and may
/// declare a dimension free that the contract fixes; the golden check then sees the lengths. What the contract leaves free, requests
/// and candidates, a graph must leave free too: the golden pair of one fixed length would pass, and the first batch fail.
/// </summary>
internal static class GraphContract
{
    /// <param name="graphs">All four, in the order of <see cref="GraphFiles"/>.</param>
    /// <param name="state">What context.onnx gives.</param>
    public static void Check(GraphSession[] graphs, ModelManifest manifest, IReadOnlyList<TensorSpec> state)
    {
        Check(graphs[0], [new("tokens", TensorElement.Int64, [-1, manifest.Features.TokensMax])],
            [new("codes", TensorElement.Int64, [-1, manifest.SemanticIds.Levels]), new("vector", TensorElement.Float, [-1, manifest.Item.Dimensions])]);
        CheckUser(graphs[1], manifest);
        Check(graphs[2], HistoryTensors.Specs(manifest.Features, manifest.SemanticIds), state);
        Check(graphs[3], [.. CandidateTensors.Specs(manifest.SemanticIds), .. state],
            [new("probabilities", TensorElement.Float, [-1, -1, ActionTaxonomy.Default.Count])]);
    }

    public static void CheckUser(GraphSession user, ModelManifest manifest) => Check(
        user, HistoryTensors.Specs(manifest.Features, manifest.SemanticIds), [new("vectors", TensorElement.Float, [-1, manifest.User.Vectors, manifest.Item.Dimensions])]);

    private static void Check(GraphSession graph, IReadOnlyList<TensorSpec> inputs, IReadOnlyList<TensorSpec> outputs)
    {
        foreach (TensorSpec input in graph.Inputs)
        {
            TensorSpec? known = inputs.FirstOrDefault(known => known.Name == input.Name);
            if (known is null) throw new ModelRejectedException($"{graph.Name} takes {input}; it may take {string.Join(", ", inputs)}.");
            if (!Suits(known, input)) throw new ModelRejectedException($"{graph.Name} takes {input}; the manifest makes it {known}.");
        }

        foreach (TensorSpec expected in outputs)
        {
            TensorSpec? output = graph.Outputs.FirstOrDefault(output => output.Name == expected.Name);
            if (output is null || !Suits(expected, output))
            {
                throw new ModelRejectedException($"{graph.Name} gives {string.Join(", ", graph.Outputs)}; the manifest makes it give {expected}.");
            }
        }
    }

    private static bool Suits(TensorSpec expected, TensorSpec declared) =>
        expected.Fits(declared.Element, declared.Shape) && expected.Shape.Zip(declared.Shape).All(pair => pair.First >= 0 || pair.Second < 0);
}
