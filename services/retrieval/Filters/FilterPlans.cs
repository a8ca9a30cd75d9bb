using System.Collections.Concurrent;

namespace Mesh.Retrieval.Filters;

/// <summary>
/// Filters by their text: most requests bring one of a few, and what the index has compiled it to stays with the plan
/// (<see cref="BitPlan.For"/>, 10 us for 23 terms). Past <see cref="KeptMax"/> texts all are forgotten, so that nobody can fill the memory.
/// </summary>
internal static class FilterPlans
{
    public const int KeptMax = 256;

    private static readonly ConcurrentDictionary<string, FilterPlan> s_kept = new(StringComparer.Ordinal);

    /// <summary>As <see cref="FilterParser.TryParse"/>.</summary>
    public static bool TryParse(string text, out FilterPlan plan, out string fault)
    {
        fault = "";
        if (s_kept.TryGetValue(text, out plan!)) return true;
        if (!FilterParser.TryParse(text, out plan, out fault)) return false;

        if (s_kept.Count >= KeptMax) s_kept.Clear();
        s_kept[text] = plan;
        return true;
    }
}
