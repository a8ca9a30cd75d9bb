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
/// declare a dimension free that the contract fixes; the golden check then sees the lengths.
/// </summary>
internal static class GraphContract
{
    public static void Check(GraphSession?[] graphs, ModelManifest manifest, IReadOnlyList<TensorSpec> state)
    {
        if (graphs[0] is { } item)
        {
            Check(item, [new("tokens", TensorElement.Int64, [-1, manifest.Features.TokensMax])],
                [new("codes", TensorElement.Int64, [-1, manifest.SemanticIds.Levels]), new("vector", TensorElement.Float, [-1, manifest.Item.Dimensions])]);
        }

        if (graphs[1] is { } user) CheckUser(user, manifest);
        IReadOnlyList<TensorSpec> history = HistoryTensors.Specs(manifest.Features, manifest.SemanticIds);
        if (graphs[2] is { } context) Check(context, history, state);
        if (graphs[3] is { } candidates)
        {
            Check(candidates, [.. CandidateTensors.Specs(manifest.SemanticIds), .. state],
                [new("probabilities", TensorElement.Float, [-1, -1, ActionTaxonomy.Default.Count])]);
        }
    }

    public static void CheckUser(GraphSession user, ModelManifest manifest) => Check(
        user, HistoryTensors.Specs(manifest.Features, manifest.SemanticIds), [new("vectors", TensorElement.Float, [-1, manifest.User.Vectors, manifest.Item.Dimensions])]);

    private static void Check(GraphSession graph, IReadOnlyList<TensorSpec> inputs, IReadOnlyList<TensorSpec> outputs)
    {
        foreach (TensorSpec input in graph.Inputs)
        {
            TensorSpec? known = inputs.FirstOrDefault(known => known.Name == input.Name);
            if (known is null) throw new ModelRejectedException($"{graph.Name} takes {input}; it may take {string.Join(", ", inputs)}.");
            if (!known.Fits(input.Element, input.Shape)) throw new ModelRejectedException($"{graph.Name} takes {input}; the manifest makes it {known}.");
        }

        foreach (TensorSpec expected in outputs)
        {
            TensorSpec? output = graph.Outputs.FirstOrDefault(output => output.Name == expected.Name);
            if (output is null || !expected.Fits(output.Element, output.Shape))
            {
                throw new ModelRejectedException($"{graph.Name} gives {string.Join(", ", graph.Outputs)}; the manifest makes it give {expected}.");
            }
        }
    }
}
