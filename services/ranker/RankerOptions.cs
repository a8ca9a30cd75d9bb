using System.ComponentModel.DataAnnotations;

namespace Mesh.Ranker;

/// <summary>Options of the ranker. Bound from the <c>Ranker</c> section and checked at start-up.</summary>
public sealed class RankerOptions
{
    /// <summary>Arm that scores requests which name none. Default "transformer": the heuristic where no model is loaded.</summary>
    [Required]
    public string DefaultArm { get; init; } = Transformer.TransformerScorer.ArmName;

    /// <summary>Most candidates of one request. Default 5,000.</summary>
    [Range(1, 20_000)]
    public int CandidatesMax { get; init; } = 5_000;

    /// <summary>Most events of one sequence, and most items of one history. Default 4,096.</summary>
    [Range(1, 100_000)]
    public int SequenceMax { get; init; } = 4_096;
}
