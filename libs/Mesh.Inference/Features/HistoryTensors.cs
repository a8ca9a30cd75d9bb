using Mesh.Contracts;

namespace Mesh.Inference.Features;

/// <summary>The history inputs of context.onnx and user.onnx, for B users. One thread fills it; runs may share it.</summary>
public sealed class HistoryTensors
{
    private readonly Dictionary<string, TensorBuffer> _byName;

    /// <summary>Tensors of users without history.</summary>
    public HistoryTensors(FeatureSettings settings, SemanticIdShape shape, int batch)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(shape);
        _byName = Specs(settings, shape).ToDictionary(spec => spec.Name, spec => spec.Allocate(batch), StringComparer.Ordinal);
        Batch = batch;
        Codes = _byName["history_codes"];
        Authors = _byName["history_authors"];
        Actions = _byName["history_actions"];
        Gaps = _byName["history_gaps"];
        Surfaces = _byName["history_surfaces"];
        Values = _byName["history_values"];
        Mask = _byName["history_mask"];
        for (int row = 0; row < batch; row++) ClearRow(row);
    }

    public int Batch { get; }

    /// <summary>As graphs take them.</summary>
    public IReadOnlyDictionary<string, TensorBuffer> ByName => _byName;

    internal TensorBuffer Codes { get; }

    internal TensorBuffer Authors { get; }

    internal TensorBuffer Actions { get; }

    internal TensorBuffer Gaps { get; }

    internal TensorBuffer Surfaces { get; }

    internal TensorBuffer Values { get; }

    internal TensorBuffer Mask { get; }

    /// <summary>The contract of the history inputs, first dimension free.</summary>
    public static IReadOnlyList<TensorSpec> Specs(FeatureSettings settings, SemanticIdShape shape)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(shape);
        long tokens = settings.HistoryMax;
        return
        [
            new("history_codes", TensorElement.Int64, [-1, tokens, shape.Levels]),
            new("history_authors", TensorElement.Int64, [-1, tokens, 2]),
            new("history_actions", TensorElement.Float, [-1, tokens, ActionTaxonomy.Default.Count]),
            new("history_gaps", TensorElement.Int64, [-1, tokens]),
            new("history_surfaces", TensorElement.Int64, [-1, tokens]),
            new("history_values", TensorElement.Float, [-1, tokens]),
            new("history_mask", TensorElement.Float, [-1, tokens]),
        ];
    }

    internal void ClearRow(int row)
    {
        foreach (TensorBuffer tensor in _byName.Values) tensor.Rows(row, 1).Fill(tensor == Codes ? (byte)0xff : (byte)0);
    }
}
