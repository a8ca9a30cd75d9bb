using Google.Protobuf.Collections;
using Mesh.Contracts;
using Mesh.Gateway.Pipeline.Plan;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>
/// Removes items that this viewer may not see: hidden, limited to other languages or regions, or past the allowed safety
/// class. A viewer whose language or region is not known passes the limits on it.
/// </summary>
internal sealed class EligibilityFilter(StageParams options) : PredicateFilter
{
    private static readonly string[] Classes = ["safe", "sensitive", "restricted"];
    private readonly int _safetyMax = Array.IndexOf(Classes, options.Choice("safety_max", "sensitive", Classes));

    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query) => candidate =>
        candidate.Data.Eligibility is not { } eligibility
        || (!eligibility.Hidden
            && Array.IndexOf(Classes, eligibility.Safety) <= _safetyMax
            && Allows(eligibility.Languages, query.Language)
            && Allows(eligibility.Regions, query.Region));

    /// <summary>Whether a list allows a value: en allows en-GB, and en-GB allows itself only.</summary>
    internal static bool Allows(RepeatedField<string> allowed, string value) =>
        allowed.Count == 0 || value.Length == 0
        || allowed.Any(
            entry => value.StartsWith(entry, StringComparison.OrdinalIgnoreCase) && (value.Length == entry.Length || value[entry.Length] == '-'));
}
