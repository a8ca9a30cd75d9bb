using System.ComponentModel.DataAnnotations;

namespace Mesh.Ranker;

/// <summary>Options of the ranker. Bound from the <c>Ranker</c> section and checked at start-up.</summary>
public sealed class RankerOptions
{
    /// <summary>Arm that scores requests which name none. Default "heuristic".</summary>
    [Required]
    public string DefaultArm { get; init; } = Heuristic.HeuristicScorer.ArmName;

    /// <summary>Most candidates of one request. Default 5,000.</summary>
    [Range(1, 20_000)]
    public int CandidatesMax { get; init; } = 5_000;
}
