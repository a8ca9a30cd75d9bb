using Mesh.Contracts;

namespace Mesh.Gateway.Pipeline.Filters;

/// <summary>Removes items that the user answered with a negative action (not_interested, report, ...). Before seen, so that the reason is right.</summary>
internal sealed class NotInterestedFilter : PredicateFilter
{
    protected override Func<FeedCandidate, bool> Prepare(FeedQuery query)
    {
        var unwanted = query.SequenceItems().Where(entry => ActionTaxonomy.Default.IsNegative(entry.Action)).Select(entry => entry.ItemId).ToHashSet(StringComparer.Ordinal);
        return candidate => !unwanted.Contains(candidate.ItemId);
    }
}
