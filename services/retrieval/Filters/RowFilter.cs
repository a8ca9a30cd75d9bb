using Mesh.Retrieval.Index;

namespace Mesh.Retrieval.Filters;

/// <summary>What a request lets through, asked inside each source so that limits are filled: cheapest question first.</summary>
internal sealed class RowFilter(ItemHashSet exclude, Audience audience, FilterPlan plan)
{
    /// <summary>Everything that is not hidden.</summary>
    public static readonly RowFilter Visible = new(ItemHashSet.Empty, Audience.Anyone, FilterPlan.All);

    /// <summary>What the request asks for, without what it excludes and who looks.</summary>
    public FilterPlan Plan => plan;

    /// <summary>Items left out at most.</summary>
    public int ExcludedMax => exclude.Count;

    /// <summary>Whether the request leaves the item of this hash out, whatever else holds.</summary>
    public bool Excludes(uint hash) => exclude.Contains(hash);

    /// <summary><see cref="Admits"/> of a row that is not hidden, is not excluded, and holds what the plan asks for.</summary>
    public bool AdmitsViewer(RowState state) => audience == Audience.Anyone || audience.MaySee(state.Eligibility);

    public bool Admits(RowState state) =>
        audience.MaySee(state.Eligibility) && !exclude.Contains(state.Facts.Hash) && plan.Admits(state);
}
