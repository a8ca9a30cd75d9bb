using Mesh.Contracts;

namespace Mesh.Inference.Features;

/// <summary>The candidate inputs of candidates.onnx, for B users with N candidates each. One thread fills a row at a time.</summary>
public sealed class CandidateTensors
{
    /// <summary>Width of <c>candidate_dense</c>: 4 facts, then one log-odds difference per action.</summary>
    public static readonly int DenseCount = 4 + ActionTaxonomy.Default.Count;

    private readonly Dictionary<string, TensorBuffer> _byName;

    /// <summary>Tensors of rows that stand for nothing: unknown item, no author.</summary>
    public CandidateTensors(SemanticIdShape shape, int batch, int rows)
    {
        ArgumentNullException.ThrowIfNull(shape);
        (Batch, RowsPerUser) = (batch, rows);
        _byName = Specs(shape).ToDictionary(spec => spec.Name, spec => spec.Allocate(batch, rows), StringComparer.Ordinal);
        Codes = _byName["candidate_codes"];
        Authors = _byName["candidate_authors"];
        Ages = _byName["candidate_ages"];
        Dense = _byName["candidate_dense"];
        Codes.Longs.Fill(-1);
    }

    public int Batch { get; }

    public int RowsPerUser { get; }

    public IReadOnlyDictionary<string, TensorBuffer> ByName => _byName;

    /// <summary>Bucket of each user's surface, [B]: see <see cref="CandidateFeatures.SurfaceOf"/>.</summary>
    public Span<long> Surfaces => _byName["surface"].Longs;

    internal TensorBuffer Codes { get; }

    internal TensorBuffer Authors { get; }

    internal TensorBuffer Ages { get; }

    internal TensorBuffer Dense { get; }

    /// <summary>The contract of the candidate inputs; free are B, then N.</summary>
    public static IReadOnlyList<TensorSpec> Specs(SemanticIdShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return
        [
            new("candidate_codes", TensorElement.Int64, [-1, -1, shape.Levels]),
            new("candidate_authors", TensorElement.Int64, [-1, -1, 2]),
            new("candidate_ages", TensorElement.Int64, [-1, -1]),
            new("candidate_dense", TensorElement.Float, [-1, -1, DenseCount]),
            new("surface", TensorElement.Int64, [-1]),
        ];
    }
}
