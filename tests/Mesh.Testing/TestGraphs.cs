using Mesh.Inference;

namespace Mesh.Testing;

/// <summary>Graphs that keep the contract of a package, and what they give is a test's choice.</summary>
public static class TestGraphs
{
    /// <summary>
    /// user.onnx that gives the first axis for a user without history, and what is not finite for any other: log(1 - tokens) is added.
    /// </summary>
    /// <param name="batch">Requests of a run; -1 = any number.</param>
    public static byte[] UserTower(ModelManifest manifest, int batch = -1)
    {
        (int tokens, int vectors, int dimensions) = Sizes(manifest);
        return new OnnxGraph()
            .Input("history_mask", isFloat: true, batch, tokens).Output("vectors", isFloat: true, batch, vectors, dimensions)
            .Constant("ones", [.. Enumerable.Repeat(1f, tokens)], tokens, 1).Constant("one", [1f], 1).Constant("shape", [-1L, 1, 1], 3)
            .Constant("axis", Axes(vectors, dimensions), 1, vectors, dimensions)
            .Node("MatMul", "count", "history_mask", "ones").Node("Sub", "left", "one", "count").Node("Log", "log", "left")
            .Node("Reshape", "spread", "log", "shape").Node("Add", "vectors", "axis", "spread").ToArray();
    }

    /// <summary>user.onnx that fails every run: it reads past its table.</summary>
    public static byte[] FailingUserTower(ModelManifest manifest)
    {
        (int tokens, int vectors, int dimensions) = Sizes(manifest);
        return new OnnxGraph()
            .Input("history_gaps", isFloat: false, -1, tokens).Output("vectors", isFloat: true, -1, vectors, dimensions)
            .Constant("ones", [.. Enumerable.Repeat(1L, tokens)], tokens, 1).Constant("past", [5L], 1).Constant("shape", [-1L], 1)
            .Constant("table", Axes(vectors, dimensions), 1, vectors, dimensions)
            .Node("MatMul", "sum", "history_gaps", "ones").Node("Add", "place", "sum", "past").Node("Reshape", "places", "place", "shape")
            .Node("Gather", "vectors", "table", "places").ToArray();
    }

    /// <summary>item.onnx that gives the first axis and codes of 0, and log(0) in place of the axis where an item's first token is the given one.</summary>
    public static byte[] ItemTower(ModelManifest manifest, long hostile)
    {
        (int tokens, int levels, int dimensions) = (manifest.Features.TokensMax, manifest.SemanticIds.Levels, manifest.Item.Dimensions);
        float[] logs = new float[manifest.Features.TokenBuckets];
        logs[hostile] = float.NegativeInfinity;
        return new OnnxGraph()
            .Input("tokens", isFloat: false, -1, tokens).Output("codes", isFloat: false, -1, levels).Output("vector", isFloat: true, -1, dimensions)
            .Constant("none", new long[tokens * levels], tokens, levels).Constant("first", [1L, .. new long[tokens - 1]], tokens, 1).Constant("shape", [-1L], 1)
            .Constant("logs", logs, logs.Length, 1).Constant("axis", Axes(1, dimensions), 1, dimensions)
            .Node("MatMul", "codes", "tokens", "none").Node("MatMul", "place", "tokens", "first").Node("Reshape", "places", "place", "shape")
            .Node("Gather", "log", "logs", "places").Node("Add", "vector", "axis", "log").ToArray();
    }

    private static (int Tokens, int Vectors, int Dimensions) Sizes(ModelManifest manifest) => (manifest.Features.HistoryMax, manifest.User.Vectors, manifest.Item.Dimensions);

    private static float[] Axes(int vectors, int dimensions) => [.. Enumerable.Range(0, vectors * dimensions).Select(i => i % dimensions == 0 ? 1f : 0f)];
}
