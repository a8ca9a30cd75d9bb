using Mesh.Retrieval.Filters;
using Mesh.Retrieval.Index;

namespace Mesh.Benchmarks;

/// <summary>Filters of the benchmarks, from text.</summary>
internal static class RowFilters
{
    /// <summary>A filter that asks for what the text says, whoever looks.</summary>
    /// <exception cref="ArgumentException">The parser refuses it; the message has the text and why.</exception>
    public static RowFilter Parse(string text) => FilterParser.TryParse(text, out FilterPlan plan, out string fault)
        ? new RowFilter(ItemHashSet.Empty, Audience.Anyone, plan)
        : throw new ArgumentException($"The filter '{text}' {fault}.", nameof(text));
}
